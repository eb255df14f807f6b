// The console's files, as the build made them from console/.
#pragma once

#include <span>
#include <string_view>

namespace asterism {

struct ConsoleFile {
  std::string_view path;  // "/", "/console.js"
  std::string_view content_type;
  std::string_view gzip;  // its content
};

std::span<const ConsoleFile> console_files();

}  // namespace asterism
