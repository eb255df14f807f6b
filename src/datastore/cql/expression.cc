#include "datastore/cql/expression.h"

#include "datastore/literal.h"

namespace asterism::cql {

using datastore::validate;

void MarkerSpecs::set(uint32_t marker, std::string keyspace, std::string table, std::string name,
                      const DataType& type) {
  ASSERT(marker < specs_.size());
  if (const std::string& own = markers_[marker].name; !own.empty()) name = own;
  specs_[marker] = {std::move(keyspace), std::move(table), std::move(name), wire_type_of(type)};
}

// ---------------------------------------------------------------------------------------------------- evaluation

Answer<wire::Value> Expression::evaluate(const Bindings& bindings) const {
  switch (kind) {
    case Kind::constant:
      return wire::Value::of(bytes);
    case Kind::null:
      return wire::Value::null();
    case Kind::marker: {
      if (marker >= bindings.values.size()) return invalid("Invalid amount of bind variables");
      const wire::Value& bound = bindings.values[marker];
      if (bound.kind != wire::Value::Kind::value) return bound;
      if (auto valid = validate(type, bound.bytes); !valid) {
        return invalid("Invalid value for {} of type {}: {}", what, type.to_string(), valid.error().message);
      }
      if (type.mentions(TypeKind::set) || type.mentions(TypeKind::map)) {
        return wire::Value::of(bindings.arena.keep(normalize(type, bound.bytes)));
      }
      return bound;
    }
    case Kind::collection:
      return evaluate_collection(bindings);
    case Kind::function: {
      std::vector<MaybeView> arguments;
      for (const Expression& item : items) {
        TRY(wire::Value value, item.evaluate(bindings));
        if (value.kind == wire::Value::Kind::unset) {
          return invalid("Invalid unset value for argument in call to function {}", function->name);
        }
        arguments.push_back(value.kind == wire::Value::Kind::value ? MaybeView(value.bytes) : std::nullopt);
      }
      TRY(MaybeBytes result, function->call(bindings.functions, arguments));
      if (!result) return wire::Value::null();
      return wire::Value::of(bindings.arena.keep(std::move(*result)));
    }
  }
  return wire::Value::null();
}

Answer<wire::Value> Expression::evaluate_collection(const Bindings& bindings) const {
  Term term;
  term.kind = literal;
  for (const Expression& item : items) {
    TRY(wire::Value value, item.evaluate(bindings));
    if (value.kind == wire::Value::Kind::unset) return invalid("Invalid unset value for {}", what);
    if (value.kind == wire::Value::Kind::null) {
      term.items.emplace_back();
    } else {
      term.items.push_back(Term::value(Bytes(value.bytes)));
    }
  }
  TRY(Bytes made, answer(to_bytes(type, term, what)));
  return wire::Value::of(bindings.arena.keep(std::move(made)));
}

// ------------------------------------------------------------------------------------------------------- planning

static bool same_type(const DataType& a, const DataType& b) {
  if (a.freeze() == b.freeze()) return true;
  auto is_text = [](const DataType& type) { return type.kind() == TypeKind::text || type.kind() == TypeKind::ascii; };
  return is_text(a) && is_text(b) && a.kind() == TypeKind::text;
}

bool is_assignable(const DataType& to, const DataType& from) {
  return same_type(to, from) || (to.kind() == TypeKind::uuid && from.kind() == TypeKind::timeuuid);
}

namespace {

bool mentions_variables(const Term& term) {
  if (term.kind == Term::Kind::marker || term.kind == Term::Kind::function || term.kind == Term::Kind::operation) {
    return true;
  }
  for (const Term& item : term.items) {
    if (mentions_variables(item)) return true;
  }
  return false;
}

std::string_view bare_name(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return name;
  return name.substr(0, dot) == "system" ? name.substr(dot + 1) : name;
}

std::string signature(const ScalarFunction& function) {
  std::string text = function.name + " : (";
  for (size_t i = 0; i < function.arguments.size(); ++i) {
    text += (i > 0 ? ", " : "") + function.arguments[i].to_string();
  }
  return text + ") -> " + function.result.to_string();
}

Answer<Expression> make_call(const Term& term, const Receiver& receiver, MarkerSpecs& specs);

Answer<Expression> make_collection(const Term& term, const Receiver& receiver, MarkerSpecs& specs) {
  const DataType& type = receiver.type;
  const bool fits = (type.kind() == TypeKind::list && term.kind == Term::Kind::list) ||
                    (type.kind() == TypeKind::set && term.kind == Term::Kind::set) ||
                    (type.kind() == TypeKind::map && term.kind == Term::Kind::map) ||
                    (type.kind() == TypeKind::tuple && term.kind == Term::Kind::tuple);
  if (!fits) {
    return invalid("Invalid collection literal for {} of type {}", receiver.name, type.to_string());
  }
  const auto arguments = type.arguments();
  if (type.kind() == TypeKind::tuple && term.items.size() > arguments.size()) {
    return invalid("Invalid tuple literal for {}: too many elements. Type {} expects {} but got {}", receiver.name,
                   type.to_string(), arguments.size(), term.items.size());
  }
  Expression made;
  made.kind = Expression::Kind::collection;
  made.type = type;
  made.what = receiver.name;
  made.literal = term.kind;
  for (size_t i = 0; i < term.items.size(); ++i) {
    Receiver item{receiver.table, receiver.name, arguments[i % arguments.size()]};
    if (type.kind() == TypeKind::map) {
      item.name = fmt::format("{}({})", i % 2 == 0 ? "key" : "value", receiver.name);
    } else if (type.kind() == TypeKind::tuple) {
      item.name = fmt::format("{}[{}]", receiver.name, i);
    } else {
      item.name = fmt::format("value({})", receiver.name);
    }
    TRY(Expression expression, make_expression(term.items[i], item, specs));
    if (expression.kind == Expression::Kind::null && type.kind() != TypeKind::tuple) {
      return invalid("null is not supported inside collections");
    }
    made.items.push_back(std::move(expression));
  }
  return made;
}

Answer<Expression> call_overload(const FunctionPtr& function, const Term& term, const Receiver& receiver,
                                 MarkerSpecs& specs) {
  Expression call;
  call.kind = Expression::Kind::function;
  call.type = function->result;
  call.what = receiver.name;
  call.function = function;
  for (size_t i = 0; i < term.items.size(); ++i) {
    Receiver argument{receiver.table, fmt::format("arg{}({})", i, function->name), function->arguments[i]};
    TRY(Expression item, make_expression(term.items[i], argument, specs));
    call.items.push_back(std::move(item));
  }
  return call;
}

std::vector<FunctionPtr> overloads(const Term& term, const datastore::Table* table) {
  const std::string_view name = bare_name(term.text);
  if (name.starts_with("castas") && term.items.size() == 1) {
    auto to = DataType::parse(name.substr(6));
    auto from = own_type(term.items[0], table);
    if (to && from) {
      if (auto cast = find_cast(*from, *to)) return {cast};
    }
    return {};
  }
  return find_functions(name, table);
}

/// Whether the terms can be the function's arguments, as far as their own types tell.
bool could_call(const ScalarFunction& function, const Term& term, const datastore::Table* table) {
  if (function.arguments.size() != term.items.size()) return false;
  for (size_t i = 0; i < term.items.size(); ++i) {
    auto own = own_type(term.items[i], table);
    if (own && !is_assignable(function.arguments[i], *own)) return false;
    if (!own && !mentions_variables(term.items[i]) && term.items[i].kind != Term::Kind::null &&
        !to_bytes(function.arguments[i], term.items[i], "argument")) {
      return false;
    }
  }
  return true;
}

Answer<Expression> make_call(const Term& term, const Receiver& receiver, MarkerSpecs& specs) {
  const auto found = overloads(term, receiver.table);
  if (found.empty()) return invalid("Unknown function {} called", term.text);
  std::vector<FunctionPtr> fitting;
  for (const auto& function : found) {
    if (could_call(*function, term, receiver.table)) fitting.push_back(function);
  }
  if (fitting.empty()) {
    std::string known;
    for (const auto& function : found) known += (known.empty() ? "" : ", ") + signature(*function);
    return invalid("Invalid call to function {}, none of its type signatures match (known type signatures: {})",
                   term.text, known);
  }
  std::vector<FunctionPtr> receivable;
  for (const auto& function : fitting) {
    if (is_assignable(receiver.type, function->result)) receivable.push_back(function);
  }
  if (receivable.empty()) {
    return invalid("Type error: cannot assign result of function {} (type {}) to {} (type {})", fitting[0]->name,
                   fitting[0]->result.to_string(), receiver.name, receiver.type.to_string());
  }
  if (receivable.size() > 1) {
    std::string matching;
    for (const auto& function : receivable) matching += (matching.empty() ? "" : ", ") + signature(*function);
    return invalid(
        "Ambiguous call to function {} (can be matched by following signatures: {}): use type casts to disambiguate",
        term.text, matching);
  }
  return call_overload(receivable[0], term, receiver, specs);
}

}  // namespace

std::optional<DataType> own_type(const Term& term, const datastore::Table* table) {
  if (term.kind == Term::Kind::hint) {
    auto type = DataType::parse(term.text);
    return type ? std::optional(*type) : std::nullopt;
  }
  if (term.kind != Term::Kind::function) return std::nullopt;
  for (const auto& function : overloads(term, table)) {
    if (could_call(*function, term, table)) return function->result;
  }
  return std::nullopt;
}

Answer<Expression> make_expression(const Term& term, const Receiver& receiver, MarkerSpecs& specs) {
  Expression made;
  made.type = receiver.type;
  made.what = receiver.name;
  switch (term.kind) {
    case Term::Kind::null:
      return made;
    case Term::Kind::marker:
      made.kind = Expression::Kind::marker;
      made.marker = term.marker;
      specs.set(term.marker, receiver.table ? receiver.table->keyspace : "", receiver.table ? receiver.table->name : "",
                receiver.name, receiver.type);
      return made;
    case Term::Kind::operation:
      return invalid("Arithmetic operations are not supported yet");
    case Term::Kind::udt:
      return invalid("Invalid user type literal for {} of type {}", receiver.name, receiver.type.to_string());
    case Term::Kind::function:
      return make_call(term, receiver, specs);
    case Term::Kind::hint:
      if (mentions_variables(term)) {
        TRY(DataType type, answer(DataType::parse(term.text)));
        if (!is_assignable(receiver.type, type)) {
          return invalid("Cannot assign value of type {} to {} of type {}", type.to_string(), receiver.name,
                         receiver.type.to_string());
        }
        return make_expression(term.items.at(0), {receiver.table, receiver.name, type}, specs);
      }
      break;
    default:
      if (!term.items.empty() && mentions_variables(term)) return make_collection(term, receiver, specs);
  }
  made.kind = Expression::Kind::constant;
  TRY(made.bytes, answer(to_bytes(receiver.type, term, receiver.name)));
  return made;
}

}  // namespace asterism::cql
