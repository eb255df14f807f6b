// Statements about users: CREATE ROLE, GRANT, LIST PERMISSIONS and their kin, on the user model of gateway/access.h.
#pragma once

#include "datastore/cql/execute.h"
#include "gateway/authenticator.h"

namespace asterism::cql {

/// Who asks, and how the answer is written.
struct RoleRequest {
  const Principal* principal = nullptr;  // null: nobody has to log in, and everybody may do everything
  Address from;
  std::string keyspace;  // the session's
  Instant deadline = Instant::never();
  wire::Version version = wire::Version::v4;
  int16_t stream = 0;
};

/// Not prepared and not planned: checked against users and schema of the moment. Rules and texts are Cassandra's, and
/// where it would let somebody make himself a superuser, stricter. What it is given must outlive it.
class RoleStatements {
 public:
  RoleStatements(Catalog catalog, const AccessState& access, SchemaChanges& changes, Authenticator& authenticator)
      : catalog_(catalog), access_(access), changes_(changes), authenticator_(authenticator) {}

  /// Everything but LIST is audited.
  Task<Outcome> execute(const RoleStatement& statement, RoleRequest request);

 private:
  class Run;

  Catalog catalog_;
  const AccessState& access_;
  SchemaChanges& changes_;
  Authenticator& authenticator_;
};

/// "CREATE ROLE <role ada>", for the audit log: without passwords.
std::string summary(const RoleStatement& statement, const std::string& keyspace);

/// Nothing where the plan changes no schema. `principal` is null where nobody has to log in.
void audit_schema_change(const Audit& audit, const Principal* principal, const Address& from, const Plan& plan,
                         const Outcome& outcome);

}  // namespace asterism::cql
