#include "control/net/name_servers.h"

#include <string>

#include "unit/catch.h"

using namespace mote;

namespace {

std::string servers(std::string_view text) {
    std::string list;
    for (const Ipv4Address server : parse_resolv_conf(text))
        list += to_string(server) + " ";
    return list;
}

}  // namespace

TEST_CASE("name servers are found in their order, each once") {
    CHECK(servers("nameserver 10.0.0.53\nnameserver 8.8.8.8\nnameserver 10.0.0.53\n") ==
          "10.0.0.53 8.8.8.8 ");
    CHECK(servers("  nameserver\t1.1.1.1   # mine\r\nsearch example.org\noptions edns0") ==
          "1.1.1.1 ");
}

TEST_CASE("the host's loopback is no name server of a guest's") {
    CHECK(servers("nameserver 127.0.0.53\nnameserver 127.1.2.3\nnameserver 0.0.0.0\n").empty());
    CHECK(servers("nameserver 127.0.0.1\nnameserver 192.168.1.1") == "192.168.1.1 ");
}

TEST_CASE("what is no IPv4 name server is passed over") {
    CHECK(servers("").empty());
    CHECK(servers("\n\n#nameserver 1.1.1.1\n;nameserver 1.1.1.1\n").empty());
    CHECK(servers("nameserver\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\n").empty());
    CHECK(servers("nameservers 1.1.1.1\nNAMESERVER 1.1.1.1\nnameserver 1.1.1\n").empty());
    CHECK(servers(std::string("nameserver 1.1.1.1\0\n", 20)).empty());
    CHECK(servers(std::string(70000, 'x') + "\nnameserver 9.9.9.9") == "9.9.9.9 ");
}
