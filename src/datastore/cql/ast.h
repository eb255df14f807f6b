// The syntax tree of a CQL statement. Plain values: copyable, without pointers into the statement's text, reusable for
// every execution of a prepared statement. Names are already folded to lower case unless they were quoted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gateway/permission.h"

namespace asterism::cql {

/// Where something starts in the statement: line and column, in bytes, both from 1.
struct Position {
  uint32_t line = 1;
  uint32_t column = 1;
  auto operator<=>(const Position&) const = default;
};

/// [keyspace.]name; an empty keyspace means the session's.
struct QualifiedName {
  std::string keyspace;
  std::string name;
  Position at;
  bool operator==(const QualifiedName& other) const { return keyspace == other.keyspace && name == other.name; }
};

/// A type as written, normalised to one spelling ("map<text, frozen<list<int>>>"); for DataType::parse.
struct TypeName {
  std::string text;
  Position at;
};

struct Term {
  enum class Kind : uint8_t {
    null,
    integer,    // text: -12
    decimal,    // text: 1.5, -2e10, NaN, -Infinity
    string,     // text: what it says, unquoted
    boolean,    // text: true or false
    uuid,       // text: as written
    blob,       // text: hex digits without 0x
    duration,   // text: as written, with its sign
    marker,     // marker: index into Statement::markers
    list,       // items
    set,        // items; {} is an empty set and may stand for an empty map
    map,        // items: key, value, key, value, …
    tuple,      // items
    udt,        // {names: items}
    function,   // name(items); text: [keyspace.]name; CAST (x AS int) is castasint(x)
    hint,       // (type) item; text: the type, as in TypeName
    operation,  // items[0] text items[1], text being + - * / or %; with one item, its negation
    value,      // text: serialized bytes of the receiver's type; never made by the parser
  };

  Kind kind = Kind::null;
  uint32_t marker = 0;
  Position at;
  std::string text;
  std::vector<Term> items;
  std::vector<std::string> names;

  /// A serialized value in the place of a term: what evaluated markers and functions become.
  static Term value(std::string bytes) {
    Term term;
    term.kind = Kind::value;
    term.text = std::move(bytes);
    return term;
  }
};

/// A bind marker; `name` is empty for '?'. Statement::markers holds them in the order of the text.
struct BindMarker {
  std::string name;
  Position at;
};

// ------------------------------------------------------------------------------------------------ schema statements

/// An option of a WITH clause: a constant, or a map literal (Term::Kind::map, nested maps allowed).
using Options = std::vector<std::pair<std::string, Term>>;

struct Use {
  std::string keyspace;
};
struct CreateKeyspace {
  std::string name;
  bool if_not_exists = false;
  Options options;  // "replication", "durable_writes"
};
struct AlterKeyspace {
  std::string name;
  bool if_exists = false;
  Options options;
};
struct DropKeyspace {
  std::string name;
  bool if_exists = false;
};

struct ColumnDefinition {
  std::string name;
  TypeName type;
  bool is_static = false;
  Position at;
};
struct ClusteringOrder {
  std::string column;
  bool descending = false;
};
struct CreateTable {
  QualifiedName table;
  bool if_not_exists = false;
  std::vector<ColumnDefinition> columns;
  std::vector<std::string> partition_key;  // also holds the column marked PRIMARY KEY in place
  std::vector<std::string> clustering_key;
  int primary_keys = 0;  // how many times PRIMARY KEY was written; other than 1 is an error of the statement
  std::vector<ClusteringOrder> clustering_order;
  bool compact_storage = false;
  Options options;
};
struct AlterTable {
  enum class Action : uint8_t { add, drop, rename, with, alter_type, drop_compact_storage };
  QualifiedName table;
  bool if_exists = false;
  Action action = Action::add;
  bool column_if_exists = false;      // ADD IF NOT EXISTS, DROP IF EXISTS, RENAME IF EXISTS
  std::vector<ColumnDefinition> add;  // also the one column of alter_type
  std::vector<std::string> drop;
  std::optional<Term> drop_timestamp;  // DROP … USING TIMESTAMP
  std::vector<std::pair<std::string, std::string>> rename;
  Options options;
};
struct DropTable {
  QualifiedName table;
  bool if_exists = false;
};
struct Truncate {
  QualifiedName table;
};

/// Statements that are understood far enough to be refused precisely.
struct Unsupported {
  std::string what;  // "CREATE MATERIALIZED VIEW"
  QualifiedName name;
};

// ------------------------------------------------------------------------------------------- statements about users

/// What PASSWORD, LOGIN and the like say; unset where they were not written.
struct RoleOptions {
  std::optional<std::string> password = {};
  std::optional<bool> superuser = {}, login = {};
  std::optional<Term> options = {};  // Term::Kind::map of constants
};
struct CreateRole {
  std::string name;
  bool if_not_exists = false;
  RoleOptions options;  // CREATE USER sets login
};
struct AlterRole {
  std::string name;
  bool if_exists = false;
  RoleOptions options;
};
struct DropRole {
  std::string name;
  bool if_exists = false;
};
struct GrantRole {
  std::string role, member;
  bool revoke = false;
};

struct ResourceName {
  enum class Kind : uint8_t { all_keyspaces, keyspace, table, all_roles, role };
  Kind kind = Kind::table;
  QualifiedName name;  // of the table; a keyspace or role: in name.name
};
struct GrantPermissions {
  PermissionSet permissions;  // of ALL: every one
  ResourceName on;
  std::string role;
  bool revoke = false;
};
struct ListRoles {
  bool users = false;  // LIST USERS
  std::optional<std::string> of;
  bool recursive = true;
};
struct ListPermissions {
  PermissionSet permissions;
  std::optional<ResourceName> on;
  std::optional<std::string> of;
  bool recursive = true;
};

struct RoleStatement {
  std::variant<CreateRole, AlterRole, DropRole, GrantRole, GrantPermissions, ListRoles, ListPermissions> body;
};

// -------------------------------------------------------------------------------------------------- data statements

struct Using {
  std::optional<Term> timestamp;  // microseconds: integer or marker
  std::optional<Term> ttl;        // seconds: integer or marker
};

enum class Operator : uint8_t {
  equal,
  less,
  less_equal,
  greater,
  greater_equal,
  not_equal,
  in,
  contains,
  contains_key,
  like,
  is_not_null
};
const char* to_string(Operator op);

/// One conjunct of WHERE.
struct Relation {
  enum class Target : uint8_t {
    column,   // columns[0] op values
    element,  // columns[0][key] op values
    token,    // token(columns…) op values[0]
    tuple,    // (columns…) op values, each a tuple term or a marker
  };
  Target target = Target::column;
  Operator op = Operator::equal;
  /// IN: `values` are the alternatives; if `in_marker`, values[0] is the one marker bound to the whole list.
  bool in_marker = false;
  std::vector<std::string> columns;
  std::optional<Term> key;
  std::vector<Term> values;
  Position at;
};

/// One conjunct of IF: column or element against constants.
using Condition = Relation;

struct Insert {
  QualifiedName table;
  std::vector<std::string> columns;
  std::vector<Term> values;
  std::optional<Term> json;         // INSERT … JSON string-or-marker; columns and values are empty
  bool json_default_unset = false;  // DEFAULT UNSET
  bool if_not_exists = false;
  Using using_;
};

/// One item of SET.
struct Assignment {
  enum class Kind : uint8_t {
    set,      // column = value
    append,   // column = column + value, column += value; counters too
    prepend,  // column = value + column
    remove,   // column = column - value, column -= value
    element,  // column[key] = value
    field,    // column.field = value
  };
  Kind kind = Kind::set;
  std::string column;
  std::string field;
  std::optional<Term> key;
  Term value;
  Position at;
};
struct Update {
  QualifiedName table;
  Using using_;
  std::vector<Assignment> assignments;
  std::vector<Relation> where;
  bool if_exists = false;
  std::vector<Condition> conditions;
};

struct Deletion {
  std::string column;
  std::string field;        // column.field
  std::optional<Term> key;  // column[key]
  Position at;
};
struct Delete {
  QualifiedName table;
  Using using_;
  std::vector<Deletion> deletions;  // empty: whole rows
  std::vector<Relation> where;
  bool if_exists = false;
  std::vector<Condition> conditions;
};

struct Selector {
  enum class Kind : uint8_t {
    column,     // name
    function,   // [name_keyspace.]name(arguments): count, min, writetime, ttl, token, now, … and user functions
    count_all,  // count(*) or count(1)
    cast,       // cast(arguments[0] as type)
    term,       // a constant, marker or collection in `constant`
    element,    // arguments[0][constant]
    field,      // arguments[0].name
    operation,  // items[0] text items[1], text being + - * / or %; with one item, its negation
  };
  Kind kind = Kind::column;
  std::string name;
  std::string name_keyspace;
  TypeName type;
  std::optional<Term> constant;
  std::vector<Selector> arguments;
  std::string alias;  // AS; only at the top
  Position at;
};
struct Ordering {
  std::string column;
  bool descending = false;
  Position at;
};
struct Select {
  QualifiedName table;
  bool json = false;
  bool distinct = false;
  std::vector<Selector> selectors;  // empty: *
  std::vector<Relation> where;
  std::vector<std::string> group_by;
  std::vector<Ordering> order_by;
  std::optional<Term> per_partition_limit;  // integer or marker
  std::optional<Term> limit;
  bool allow_filtering = false;
};

struct Batch {
  enum class Kind : uint8_t { logged, unlogged, counter };
  Kind kind = Kind::logged;
  Using using_;
  std::vector<std::variant<Insert, Update, Delete>> statements;
};

/// DESCRIBE, which cqlsh sends to the server.
struct Describe {
  enum class Kind : uint8_t {
    // lists and whole clusters
    keyspaces,
    tables,
    types,
    functions,
    aggregates,
    cluster,
    schema,
    // one element, named by `name` (keyspace: in name.name)
    keyspace,
    table,
    type,
    function,
    aggregate,
    index,
    materialized_view,
    // DESCRIBE x: a keyspace, table, type, function, aggregate, index or view of that name
    any,
  };
  Kind kind = Kind::any;
  bool full = false;       // DESCRIBE FULL SCHEMA
  bool only = false;       // DESCRIBE ONLY KEYSPACE x
  bool internals = false;  // WITH INTERNALS
  QualifiedName name;      // empty for DESCRIBE KEYSPACE without a name
};

struct Statement {
  std::variant<Select, Insert, Update, Delete, Batch, Use, CreateKeyspace, AlterKeyspace, DropKeyspace, CreateTable,
               AlterTable, DropTable, Truncate, RoleStatement, Describe, Unsupported>
      body;
  std::vector<BindMarker> markers;
};

}  // namespace asterism::cql
