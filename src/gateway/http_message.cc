#include "gateway/http_message.h"

#include <algorithm>
#include <chrono>

namespace asterism {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

const std::string* find_named(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers)
    if (std::ranges::equal(key, name, {}, lower, lower)) return &value;
  return nullptr;
}

/// IMF-fixdate, RFC 9110 5.6.7.
std::string http_date(WallTime now) {
  using namespace std::chrono;
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_time<microseconds> time{microseconds(now.us)};
  const auto day = floor<std::chrono::days>(time);
  const year_month_day date(day);
  const auto seconds_of_day = floor<seconds>(time - day).count();
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", days[weekday(day).c_encoding()],
                     static_cast<unsigned>(date.day()), months[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), seconds_of_day / 3600, seconds_of_day / 60 % 60,
                     seconds_of_day % 60);
}

void put_header(Bytes& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (char c : value) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  out += "\r\n";
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char low = lower(c);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

}  // namespace

const char* to_string(HttpMethod method) {
  switch (method) {
    case HttpMethod::get:
      return "GET";
    case HttpMethod::head:
      return "HEAD";
    case HttpMethod::post:
      return "POST";
    case HttpMethod::other:
      break;
  }
  return "other";
}

const std::string* HttpRequest::header(std::string_view name) const { return find_named(headers, name); }
const std::string* HttpResponse::header(std::string_view name) const { return find_named(headers, name); }

const std::string* HttpRequest::parameter(std::string_view name) const {
  auto found = std::ranges::find(query, name, [](const auto& pair) -> const std::string& { return pair.first; });
  return found == query.end() ? nullptr : &found->second;
}

HttpResponse HttpResponse::text(int status, std::string body) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(body)};
}

HttpResponse HttpResponse::json(int status, std::string json) {
  return {status, {{"Content-Type", "application/json"}}, std::move(json)};
}

bool is_same_origin(const HttpRequest& request) {
  const std::string* host = request.header("Host");
  if (!host) return !request.header("Origin");
  const std::string_view name = std::string_view(*host).substr(0, host->rfind(':'));
  const bool address = host->starts_with('[') || (!name.empty() && name.find_first_not_of("0123456789.") == name.npos);
  if (!address && name != "localhost") return false;
  const std::string* origin = request.header("Origin");
  return !origin || *origin == "http://" + *host || *origin == "https://" + *host;
}

std::string_view http_reason(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "";
  }
}

Bytes encode_response(const HttpResponse& response, bool head_only, bool keep_alive, WallTime now) {
  const bool upgrade = response.status == 101;
  const bool bodyless = upgrade || response.status == 204 || response.status == 304;  // RFC 9110 6.4.1
  Bytes out = fmt::format("HTTP/1.1 {:03} {}\r\n", response.status, http_reason(response.status));
  put_header(out, "Date", http_date(now));
  for (const auto& [name, value] : response.headers) put_header(out, name, value);
  if (!bodyless) put_header(out, "Content-Length", std::to_string(response.body.size()));
  put_header(out, "Connection", upgrade ? "Upgrade" : keep_alive ? "keep-alive" : "close");
  out += "\r\n";
  if (!head_only && !bodyless) out += response.body;
  return out;
}

Bytes encode_request(HttpMethod method, std::string_view target, std::string_view host, const HttpHeaders& headers,
                     BytesView body) {
  Bytes out = fmt::format("{} {} HTTP/1.1\r\n", to_string(method), target);
  put_header(out, "Host", host);
  for (const auto& [name, value] : headers) put_header(out, name, value);
  if (!body.empty() || method == HttpMethod::post) put_header(out, "Content-Length", std::to_string(body.size()));
  put_header(out, "Connection", "close");
  out += "\r\n";
  out += body;
  return out;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(ErrorCode::invalid_argument, "a percent sign without two hex digits");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace asterism
