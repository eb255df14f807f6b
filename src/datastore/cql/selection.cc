#include "datastore/cql/selection.h"

#include "datastore/literal.h"

namespace asterism::cql {

namespace {

std::string print(const Term& term) {
  switch (term.kind) {
    case Term::Kind::string:
      return "'" + term.text + "'";
    case Term::Kind::blob:
      return "0x" + term.text;
    case Term::Kind::marker:
      return "?";
    case Term::Kind::null:
      return "null";
    case Term::Kind::hint:
      return fmt::format("({}){}", term.text, term.items.empty() ? "" : print(term.items[0]));
    case Term::Kind::list:
    case Term::Kind::set:
    case Term::Kind::map:
    case Term::Kind::tuple: {
      const char* brackets = term.kind == Term::Kind::list ? "[]" : term.kind == Term::Kind::tuple ? "()" : "{}";
      std::string text(1, brackets[0]);
      for (size_t i = 0; i < term.items.size(); ++i) {
        if (i > 0) text += term.kind == Term::Kind::map && i % 2 == 1 ? ": " : ", ";
        text += print(term.items[i]);
      }
      return text + brackets[1];
    }
    default:
      return term.text;
  }
}

std::string arguments_text(const std::vector<Selection>& arguments) {
  std::string text;
  for (const Selection& argument : arguments) text += (text.empty() ? "" : ", ") + argument.name;
  return text;
}

std::string in_system(const std::string& name) { return "system." + name; }

}  // namespace

Selection SelectionMaker::column(const Column& column) const {
  Selection made;
  made.column = &column;
  made.type = column.type;
  made.name = column.name;
  return made;
}

Answer<Selection> SelectionMaker::make_top(const Selector& selector) {
  TRY(Selection made, make(selector, nullptr));
  if (!selector.alias.empty()) made.name = selector.alias;
  return made;
}

Answer<Selection> SelectionMaker::make(const Selector& selector, const DataType* wanted) {
  switch (selector.kind) {
    case Selector::Kind::column: {
      TRY(const Column* found, find_column(table_, selector.name));
      return column(*found);
    }
    case Selector::Kind::count_all: {
      if (in_aggregate_) return invalid("aggregate functions cannot be used as arguments of aggregate functions");
      Selection made;
      made.kind = Selection::Kind::aggregate;
      made.type = TypeKind::bigint;
      made.name = "count";
      made.aggregate = plan_.aggregates.size();
      plan_.aggregates.emplace_back();
      return made;
    }
    case Selector::Kind::function:
      if (!selector.name_keyspace.empty() && selector.name_keyspace != "system") {
        return invalid("Unknown function '{}.{}'", selector.name_keyspace, selector.name);
      }
      if (selector.name == "writetime" || selector.name == "ttl") return stamp(selector);
      if (is_aggregate(selector.name)) return aggregate(selector);
      return function(selector);
    case Selector::Kind::cast:
      return cast(selector);
    case Selector::Kind::element:
      return element(selector);
    case Selector::Kind::term: {
      const auto own = own_type(*selector.constant, &table_);
      const DataType* type = own ? &*own : wanted;
      if (type == nullptr) {
        return invalid("Cannot infer type for term {} in selection clause (try using a cast to force a type)",
                       print(*selector.constant));
      }
      Selection made;
      made.kind = Selection::Kind::constant;
      made.type = *type;
      made.name = print(*selector.constant);
      TRY(made.constant, make_expression(*selector.constant, {&table_, "[selection]", *type}, specs_));
      return made;
    }
    case Selector::Kind::field:
      return invalid("Invalid field selection: {} is not a user type", selector.arguments.at(0).name);
    case Selector::Kind::operation:
      return invalid("Arithmetic operations are not supported yet");
  }
  return invalid("Unknown selector");
}

Answer<Selection> SelectionMaker::stamp(const Selector& selector) {
  if (selector.arguments.size() != 1 || selector.arguments[0].kind != Selector::Kind::column) {
    return invalid("{} expects the name of a column", selector.name);
  }
  TRY(const Column* found, find_column(table_, selector.arguments[0].name));
  const bool ttl = selector.name == "ttl";
  const char* shown = ttl ? "ttl" : "writetime";
  if (found->is_key()) {
    return invalid("Cannot use selection function {} on PRIMARY KEY part {}", shown, found->name);
  }
  if (found->type.is_multi_cell()) {
    return invalid("Cannot use selection function {} on non-frozen collection {}", shown, found->name);
  }
  Selection made;
  made.kind = ttl ? Selection::Kind::ttl : Selection::Kind::writetime;
  made.column = found;
  made.type = ttl ? TypeKind::int_ : TypeKind::bigint;
  made.name = fmt::format("{}({})", selector.name, found->name);
  plan_.needs_stamps = true;
  return made;
}

Answer<Selection> SelectionMaker::aggregate(const Selector& selector) {
  if (in_aggregate_) return invalid("aggregate functions cannot be used as arguments of aggregate functions");
  if (selector.arguments.size() != 1) {
    return invalid("Invalid number of arguments in call to function system.{}: 1 required but {} provided",
                   selector.name, selector.arguments.size());
  }
  in_aggregate_ = true;
  auto argument = make(selector.arguments[0], nullptr);
  in_aggregate_ = false;
  if (!argument) return std::unexpected(argument.error());
  const auto type = aggregate_type(selector.name, argument->type);
  if (!type) {
    return invalid("Invalid call to function {}, none of its type signatures match (known type signatures: numbers)",
                   selector.name);
  }
  Selection made;
  made.kind = Selection::Kind::aggregate;
  made.type = *type;
  made.name = fmt::format("system.{}({})", selector.name, argument->name);
  made.aggregate = plan_.aggregates.size();
  AggregateCall call;
  call.name = selector.name;
  call.argument.push_back(std::move(*argument));
  plan_.aggregates.push_back(std::move(call));
  return made;
}

Answer<Selection> SelectionMaker::cast(const Selector& selector) {
  TRY(Selection argument, make(selector.arguments.at(0), nullptr));
  TRY(DataType to, answer(DataType::parse(selector.type.text)));
  auto found = find_cast(argument.type, to);
  if (!found) return invalid("{} cannot be cast to {}", argument.type.to_string(), to.to_string());
  Selection made;
  made.kind = Selection::Kind::function;
  made.type = to;
  made.name = fmt::format("cast({} as {})", argument.name, to.to_string());
  made.function = std::move(found);
  made.arguments.push_back(std::move(argument));
  return made;
}

Answer<Selection> SelectionMaker::element(const Selector& selector) {
  TRY(Selection collection, make(selector.arguments.at(0), nullptr));
  const DataType type = collection.type;
  if (type.kind() != TypeKind::map && type.kind() != TypeKind::set) {
    return invalid("Invalid element selection: {} is of type {} is not a collection", collection.name,
                   type.to_string());
  }
  Selection made;
  made.kind = Selection::Kind::element;
  made.type = type.kind() == TypeKind::map ? type.value() : type.element();
  made.name = fmt::format("{}[{}]", collection.name, print(*selector.constant));
  TRY(made.constant, make_expression(*selector.constant,
                                     {&table_, fmt::format("key({})", collection.name), type.arguments()[0]}, specs_));
  made.arguments.push_back(std::move(collection));
  return made;
}

std::optional<DataType> SelectionMaker::type_of(const Selector& selector) {
  switch (selector.kind) {
    case Selector::Kind::column: {
      const Column* found = table_.find(selector.name);
      return found ? std::optional(found->type) : std::nullopt;
    }
    case Selector::Kind::term:
      return own_type(*selector.constant, &table_);
    default: {
      // Typing a call may register aggregates and markers: undo it.
      const std::vector<BindMarker> unnamed(specs_.size());
      MarkerSpecs scratch_specs(unnamed);
      SelectPlan scratch;
      scratch.table = plan_.table;
      SelectionMaker maker(scratch, scratch_specs);
      auto made = maker.make(selector, nullptr);
      return made ? std::optional(made->type) : std::nullopt;
    }
  }
}

bool SelectionMaker::fits(const Selector& selector, const DataType& wanted) {
  if (auto own = type_of(selector)) return is_assignable(wanted, *own);
  if (selector.kind != Selector::Kind::term) return false;
  if (selector.constant->kind == Term::Kind::marker || selector.constant->kind == Term::Kind::null) return true;
  return to_bytes(wanted, *selector.constant, "argument").has_value();
}

Answer<Selection> SelectionMaker::function(const Selector& selector) {
  std::vector<FunctionPtr> overloads;
  if (selector.name.starts_with("castas") && selector.arguments.size() == 1) {
    auto to = DataType::parse(selector.name.substr(6));
    auto from = type_of(selector.arguments[0]);
    if (to && from) {
      if (auto found = find_cast(*from, *to)) overloads.push_back(std::move(found));
    }
  } else {
    overloads = find_functions(selector.name, &table_);
  }
  if (overloads.empty()) return invalid("Unknown function '{}'", selector.name);
  // Names of columns that do not exist are the better error.
  for (const Selector& argument : selector.arguments) {
    if (argument.kind == Selector::Kind::column) TRY_STATUS(find_column(table_, argument.name));
  }
  for (const FunctionPtr& overload : overloads) {
    if (overload->arguments.size() != selector.arguments.size()) {
      if (overloads.size() > 1) continue;
      return invalid("Invalid number of arguments in call to function system.{}: {} required but {} provided",
                     selector.name, overload->arguments.size(), selector.arguments.size());
    }
    bool all_fit = true;
    for (size_t i = 0; i < selector.arguments.size() && all_fit; ++i) {
      all_fit = fits(selector.arguments[i], overload->arguments[i]);
    }
    if (!all_fit) continue;
    Selection made;
    made.kind = Selection::Kind::function;
    made.type = overload->result;
    made.function = overload;
    for (size_t i = 0; i < selector.arguments.size(); ++i) {
      TRY(Selection argument, make(selector.arguments[i], &overload->arguments[i]));
      made.arguments.push_back(std::move(argument));
    }
    made.name = fmt::format("{}({})", in_system(selector.name), arguments_text(made.arguments));
    return made;
  }
  return invalid("Invalid call to function {}, none of its type signatures match", selector.name);
}

Answer<MaybeBytes> evaluate(const Selection& selection, const RowValues& row, const std::vector<MaybeBytes>& aggregates,
                            const Bindings& bindings) {
  auto owned = [](MaybeView view) { return view ? MaybeBytes(Bytes(*view)) : std::nullopt; };
  switch (selection.kind) {
    case Selection::Kind::column:
      return owned(row.value_of(*selection.column));
    case Selection::Kind::constant: {
      TRY(wire::Value value, selection.constant.evaluate(bindings));
      return value.kind == wire::Value::Kind::value ? owned(value.bytes) : std::nullopt;
    }
    case Selection::Kind::function: {
      std::vector<MaybeBytes> values;
      std::vector<MaybeView> views;
      for (const Selection& argument : selection.arguments) {
        TRY(MaybeBytes value, evaluate(argument, row, aggregates, bindings));
        values.push_back(std::move(value));
      }
      for (const auto& value : values) views.push_back(value ? MaybeView(*value) : std::nullopt);
      return selection.function->call(bindings.functions, views);
    }
    case Selection::Kind::writetime: {
      const auto stamp = row.stamp_of(*selection.column);
      return stamp.timestamp_us ? MaybeBytes(long_value(*stamp.timestamp_us)) : std::nullopt;
    }
    case Selection::Kind::ttl: {
      const auto stamp = row.stamp_of(*selection.column);
      return stamp.ttl_s ? MaybeBytes(int_value(*stamp.ttl_s)) : std::nullopt;
    }
    case Selection::Kind::element: {
      const Selection& collection = selection.arguments[0];
      TRY(MaybeBytes value, evaluate(collection, row, aggregates, bindings));
      TRY(wire::Value key, selection.constant.evaluate(bindings));
      if (key.kind == wire::Value::Kind::unset) return invalid("Invalid unset value for {}", selection.name);
      if (!value || key.kind != wire::Value::Kind::value) return std::nullopt;
      const auto items = split_collection(collection.type, *value);
      const bool map = collection.type.kind() == TypeKind::map;
      for (size_t i = 0; i < items.size(); i += map ? 2 : 1) {
        if (!items[i] || compare(collection.type.arguments()[0], *items[i], key.bytes) != 0) continue;
        return map ? (i + 1 < items.size() ? owned(items[i + 1]) : std::nullopt) : owned(items[i]);
      }
      return std::nullopt;
    }
    case Selection::Kind::aggregate:
      return aggregates.at(selection.aggregate);
  }
  return std::nullopt;
}

}  // namespace asterism::cql
