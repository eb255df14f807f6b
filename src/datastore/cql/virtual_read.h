// Reads of virtual tables, answered as TableService answers them.
#pragma once

#include "datastore/cql/virtual_table.h"
#include "datastore/table_service.h"

namespace asterism::cql {

datastore::ReadPage read_virtual(const VirtualTable& table, const datastore::ReadCommand& command);

}  // namespace asterism::cql
