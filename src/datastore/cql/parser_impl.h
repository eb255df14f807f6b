// The recursive-descent parser behind parser.h. Every production returns false once error() has a message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "datastore/cql/lexer.h"
#include "datastore/cql/parser.h"

namespace asterism::cql {

class Parser {
 public:
  Parser(std::string_view text, const ParseLimits& limits) : text_(text), limits_(limits), lexer_(text) { advance(); }

  bool statement(Statement& out);
  bool whole_term(Term& out);
  Error error() { return std::move(error_); }

 private:
  // Tokens and errors (parser.cc).
  void advance() { token_ = lexer_.next(); }
  Token peek() const {
    Lexer ahead = lexer_;
    return ahead.next();
  }
  bool accept(char c);
  bool accept(Keyword keyword);
  bool accept(Token::Kind kind);
  bool expect(char c);
  bool expect(Keyword keyword);
  bool mismatched(std::string_view expected);
  bool no_alternative();
  bool refuse(ErrorCode code, std::string_view what, const Position& at);
  bool syntax_error(std::string_view what);
  std::string snippet() const;
  bool count_term();
  bool end_of_statement();

  bool name(std::string& out);
  bool names(std::vector<std::string>& out);  // ( a, b )
  bool qualified(QualifiedName& out);
  bool if_exists(bool& out);
  bool if_not_exists(bool& out);

  /// operand { op operand }, of one precedence, as a tree that leans to the left.
  template <class Node>
  bool chain(Node& out, std::string_view operators, bool (Parser::*operand)(Node&),
             bool (Parser::*ends)() const = nullptr);

  // Terms (parser_term.cc).
  bool term(Term& out);
  bool product(Term& out);
  bool simple_term(Term& out);
  bool negative(Term& out);
  bool constant(Term& out);
  bool is_constant() const;
  bool braces(Term& out);
  bool parentheses(Term& out);
  bool function_call(Term& out);
  bool cast_term(Term& out);
  bool term_list(std::vector<Term>& out, char close);
  bool marker(Term& out);
  bool integer_or_marker(std::optional<Term>& out);
  bool try_type(TypeName& out);
  bool type(TypeName& out);
  bool type_text(std::string& out, int depth);
  void combine(Term& left, char op, Term right);
  bool ends_term() const;

  // SELECT, INSERT, UPDATE, DELETE, BATCH (parser_data.cc, parser_select.cc).
  bool select(Select& out);
  bool select_tail(Select& out);
  bool is_flag() const;
  bool selectors(std::vector<Selector>& out);
  bool selector(Selector& out);
  bool selector_product(Selector& out);
  bool selector_postfix(Selector& out);
  bool selector_simple(Selector& out);
  bool selector_function(Selector& out, std::string keyspace);
  void combine(Selector& left, char op, Selector right);
  bool insert(Insert& out);
  bool insert_json(Insert& out);
  bool update(Update& out);
  bool assignment(Assignment& out);
  bool assigned_value(Assignment& out);
  bool remove(Delete& out);
  bool batch(Batch& out);
  bool using_clause(Using& out, bool with_ttl);
  bool where(std::vector<Relation>& out);
  bool conditions(bool& exists, std::vector<Condition>& out);
  bool relation(std::vector<Relation>& out);
  bool column_relation(std::vector<Relation>& out);
  bool tuple_relation(std::vector<Relation>& out);
  bool relation_end(std::vector<Relation>& out, Relation relation);
  bool comparison(Operator& out);
  bool in_values(Relation& out);
  bool between(std::vector<Relation>& out, Relation relation);

  // Schema statements (parser_schema.cc).
  bool create(Statement& out);
  bool alter(Statement& out);
  bool drop(Statement& out);
  bool create_keyspace(CreateKeyspace& out);
  bool alter_keyspace(AlterKeyspace& out);
  bool create_table(CreateTable& out);
  bool table_element(CreateTable& out);
  bool primary_key(CreateTable& out);
  bool table_property(CreateTable& out);
  bool alter_table(AlterTable& out);
  bool alter_table_add(AlterTable& out);
  bool alter_table_drop(AlterTable& out);
  bool alter_table_rename(AlterTable& out);
  bool column_definition(ColumnDefinition& out);
  bool option(Options& out);
  bool options(Options& out);
  bool option_map(Term& out);
  bool describe(Describe& out);

  // Statements about users (parser_roles.cc).
  bool create_role(CreateRole& out, bool user);
  bool alter_role(AlterRole& out, bool user);
  bool drop_role(DropRole& out, bool user);
  bool role_name(std::string& out, bool user = false);
  bool role_options(RoleOptions& out);
  bool role_option(RoleOptions& out);
  bool user_options(RoleOptions& out);
  bool password(std::optional<std::string>& out);
  bool flag(std::optional<bool>& out);
  bool grant(Statement& out, bool revoke);
  bool permissions(PermissionSet& out);
  bool is_permission() const;
  bool resource(ResourceName& out);
  bool list(Statement& out);
  bool list_roles(ListRoles& out);
  bool list_permissions(ListPermissions& out);

  bool unsupported(std::string_view verb, Statement& out);
  bool skip_rest();

  std::string_view text_;
  const ParseLimits& limits_;
  Lexer lexer_;
  Token token_;
  std::vector<BindMarker> markers_;
  size_t terms_ = 0;
  int depth_ = 0;
  Error error_;

  /// Counts nesting while it lives.
  class Nested {
   public:
    explicit Nested(Parser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Nested() { --parser_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    bool too_deep() const;

   private:
    Parser& parser_;
  };
};

template <class Node>
bool Parser::chain(Node& out, std::string_view operators, bool (Parser::*operand)(Node&),
                   bool (Parser::*ends)() const) {
  if (!(this->*operand)(out)) return false;
  for (int chained = 1; token_.kind == Token::Kind::symbol && operators.contains(token_.symbol); ++chained) {
    // A chain makes a tree as deep as it is long.
    if (chained + depth_ > limits_.max_depth)
      return refuse(ErrorCode::too_large, fmt::format("nested deeper than {} levels", limits_.max_depth), token_.at);
    if (ends && (this->*ends)()) return true;
    const char op = token_.symbol;
    advance();
    Node right;
    if (!(this->*operand)(right)) return false;
    combine(out, op, std::move(right));
  }
  return true;
}

}  // namespace asterism::cql
