// Makes the File of an open descriptor.
#pragma once

#include "runtime/real/impl.h"
#include "runtime/real/system_file.h"

namespace asterism {

std::unique_ptr<File> make_real_file(RealCore::Impl& core, Descriptor descriptor, uint64_t size, std::string path);

}  // namespace asterism
