"""What the libraries of the folders ask of the system, seen at link time. Only runtime/real may reach it."""

import re
import subprocess

# C functions that only compute. A symbol of C that is not here is a door to the outside world.
PURE_C = {
    "memchr", "memcmp", "memcpy", "memmove", "memset", "bcmp", "strlen", "strcmp", "strncmp", "strncpy", "strchr", "strrchr",
    "strtoul", "strtoull", "strtol", "strtoll", "strtod", "strtold", "strtof", "vsnprintf", "snprintf", "sscanf",
    "__isoc99_sscanf", "tolower", "toupper", "isspace", "isalpha", "isdigit", "isprint", "isalnum", "localeconv",
    "sqrt", "log", "log2", "log10", "log1p", "exp", "exp2", "pow", "powf", "erfc", "floor", "ceil", "round", "fmod",
    "ldexp", "frexp", "scalbn", "nan", "trunc", "lround", "llround", "cbrt", "sin", "cos", "tan", "fmin", "fmax",
    "malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "malloc_usable_size",
    # Parts of the compiler's runtime.
    "_Unwind_Resume", "__udivti3", "__umodti3", "__divti3", "__modti3", "__muloti4", "__muldc3", "__clear_cache",
    "__dso_handle", "__libc_single_threaded", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_", "__tls_get_addr",
    "__errno_location", "__gxx_personality_v0", "__dynamic_cast", "__assert_fail", "__popcountdi2",
    # Hashes of OpenSSL, over memory.
    "EVP_sha1", "EVP_sha256", "EVP_Digest", "EVP_EncodeBlock", "EVP_DecodeBlock", "HMAC", "PKCS5_PBKDF2_HMAC", "CRYPTO_memcmp",
    # Compression and checksums.
    "LZ4_decompress_safe", "LZ4_compress_default", "LZ4_compressBound", "LZ4_compress_fast", "crc32", "crc32_z",
}
PURE_C_FORM = re.compile(r"__cxa_(?!thread_atexit)\w+|XXH3_\w+|XXH64\w*|XXH128\w*|XXH_\w+|__asan_\w+|__ubsan_\w+|"
                         r"__sanitizer_\w+|__(isoc23|isoc99)_strto\w+")

# Doors within libraries of C++. Everything else of their symbols computes.
CXX_DOORS = re.compile(
    r"std::chrono::.*::now|std::thread\b|std::this_thread|std::jthread|std::async|std::condition_variable|"
    r"std::__basic_future|std::__future_base|std::random_device|std::filesystem::(?!__cxx11::path\b)|"
    r"std::basic_[io]?fstream|"
    r"std::basic_filebuf|std::(of|if|f)stream|std::(cout|cerr|clog|cin)\b|"
    r"rocksdb::Env::Default|rocksdb::FileSystem::Default|rocksdb::SystemClock::Default|"
    r"fmt::v\d+::(vprint|detail::print)|fmt::v\d+::(file|buffered_file|ostream|pipe)\b|"
    r"boost::asio|boost::filesystem|boost::process|boost::interprocess|boost::this_thread|"
    r"google::protobuf::io::(FileInput|FileOutput|CopyingFile|Istream|Ostream)")

# folder: {symbol: why}
ALLOWED = {
    "base": {
        "stderr": "assert.cc names the broken invariant before the process ends",
        "fprintf": "assert.cc, likewise",
        "fflush": "assert.cc, likewise",
        "abort": "assert.cc, likewise",
    },
    "storage": {
        "pthread_mutex_lock": "memtable.cc: RocksDB's own threads may read a memtable while the core writes to it",
        "pthread_mutex_unlock": "memtable.cc, likewise",
        "__cxa_thread_atexit": "memtable.cc, likewise: each thread looks entries up with a cursor of its own",
    },
    "gateway": {
        "strerror_r": "Boost.System's header names error codes; Beast's parser brings it along",
    },
    "cli": {
        "strerror_r": "Boost.System's header, likewise; Boost.JSON brings it along",
        "std::filesystem::status(std::filesystem::__cxx11::path const&, std::error_code&)":
            "CLI11's validators of paths",
    },
}


def undefined_symbols(archive):
    """Symbols that the archive's objects need and none of them defines."""
    listed = subprocess.run(["nm", "-C", str(archive)], capture_output=True, text=True, check=True).stdout
    needed, defined = {}, set()
    member = ""
    for line in listed.splitlines():
        if line.endswith(".o:"):
            member = line[:-1]
            continue
        match = re.match(r"^(?:[0-9a-f]+)?\s+([A-Za-z])\s(.+)$", line)
        if not match:
            continue
        kind, name = match.groups()
        if kind in "Uw":
            needed.setdefault(name, member)
        else:
            defined.add(name)
    return {name: member for name, member in needed.items() if name not in defined}


def is_door(name):
    if name.startswith(("typeinfo", "vtable", "VTT", "guard variable", "operator", "construction vtable")):
        return bool(CXX_DOORS.search(name))
    if "::" in name or "(" in name:
        return bool(CXX_DOORS.search(name))
    plain = name.split("@")[0]
    return plain not in PURE_C and not PURE_C_FORM.fullmatch(plain)


def banned_calls(folder, archive):
    allowed = ALLOWED.get(folder, {})
    return [f"{archive.name}({member}): {name} is for runtime/real"
            for name, member in sorted(undefined_symbols(archive).items())
            if name not in allowed and is_door(name)]


def unused_allowances(folder, archive):
    needed = undefined_symbols(archive)
    return [f"{folder}: nothing needs {name} any more: take it from the list"
            for name in ALLOWED.get(folder, {}) if name not in needed]
