# A Debian package: `ninja -C build/release deb` builds the program and asterism_VERSION_ARCHITECTURE.deb in that folder;
# `cmake --build build/release --target package` makes the same after everything else was built. What the program prints
# (manual page, completions) is made while packaging, so that the usual build does nothing for it.
include(GNUInstallDirs)
set(package_files ${CMAKE_SOURCE_DIR}/cmake/package)

install(TARGETS asterism DESTINATION bin)
install(FILES ${package_files}/node.toml DESTINATION /etc/asterism)
install(FILES ${package_files}/asterism.service DESTINATION /lib/systemd/system)
install(FILES ${package_files}/sysusers.conf DESTINATION lib/sysusers.d RENAME asterism.conf)
install(FILES ${package_files}/copyright DESTINATION share/doc/asterism)
set(ASTERISM_PROGRAM $<TARGET_FILE:asterism>)
install(CODE "
  set(program \"${ASTERISM_PROGRAM}\")
  set(changes \"${package_files}/changelog\")")
install(SCRIPT ${CMAKE_SOURCE_DIR}/cmake/package/printed_files.cmake)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME asterism)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "distributed tables that speak CQL")
set(CPACK_PACKAGE_DESCRIPTION
"Asterism makes many machines act as one computer. It stores replicated
tables, survives the loss of machines, and speaks CQL, so that Cassandra's
drivers and tools use it unmodified.
.
The service runs one node by /etc/asterism/node.toml. It is not started before
somebody says so, because a node's place in a cluster is settled when it first
starts: systemctl enable --now asterism")
set(CPACK_PACKAGE_CONTACT "The Asterism authors <asterism@packages.invalid>")
set(CPACK_STRIP_FILES ON)
# The configuration and the unit lie outside of /usr.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${package_files}/conffiles;${package_files}/postinst;${package_files}/prerm;${package_files}/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)

add_custom_target(deb COMMAND ${CMAKE_CPACK_COMMAND} -G DEB --config ${CMAKE_BINARY_DIR}/CPackConfig.cmake
                  DEPENDS asterism WORKING_DIRECTORY ${CMAKE_BINARY_DIR} USES_TERMINAL)
