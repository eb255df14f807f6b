// All messages of the CQL native protocol, requests and responses, in both directions.
#pragma once

#include "datastore/cql/protocol.h"
#include "datastore/cql/request.h"
#include "datastore/cql/response.h"
#include "datastore/cql/rows.h"
#include "datastore/cql/wire_type.h"
