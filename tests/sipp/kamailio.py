"""Runs Kamailio as the carrier's proxy: UDP inside, TLS towards us, two Record-Routes per call (r2=on)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.sipp.edge_process import HOST, PASSWORD, EdgeProcess
from tests.sipp.ports import free_port
from tests.sipp.process import Process, installed, until

REALM: Final = "kamailio.example.com"
USERNAME: Final = "screendoor"
OUT_OF_SERVICE: Final = "+14155559503"
"""Kamailio answers calls to this number with 503."""

SETTINGS = """\
#!KAMAILIO
debug=0
log_stderror=yes
children=2
tcp_children=2
tcp_accept_no_cl=no
auto_aliases=no
use_dns_cache=no
listen=udp:127.0.0.1:{udp}
listen=tls:127.0.0.1:{tls}
enable_tls=yes

loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "auth.so"
loadmodule "dispatcher.so"

modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "private_key", "{certificates}/privkey.pem")
modparam("tls", "certificate", "{certificates}/fullchain.pem")
modparam("tls", "ca_list", "{certificates}/ca.pem")
modparam("tls", "verify_certificate", 1)
modparam("tls", "require_certificate", 0)
modparam("rr", "enable_double_rr", 1)
modparam("rr", "append_fromtag", 1)
modparam("dispatcher", "list_file", "{folder}/edges.list")
modparam("dispatcher", "ds_ping_method", "OPTIONS")
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_probing_mode", 1)
modparam("dispatcher", "ds_ping_from", "sip:ping@kamailio.example.com")

request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (has_totag()) {{
    xlog("L_ALERT", "WITHIN $rm $proto routes=$(hdr(Route)[0]) $(hdr(Route)[1])\\n");
    if (!loose_route()) {{
      if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
      sl_send_reply("404", "Not here");
      exit;
    }}
    t_relay();
    exit;
  }}
  if (is_method("OPTIONS")) {{ xlog("L_ALERT", "PROBED by $proto\\n"); sl_send_reply("200", "OK"); exit; }}
  if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
  t_check_trans();
  if ($proto == "tls") route(OUT);
  record_route();
  if (!ds_select_dst("1", "4")) {{ sl_send_reply("503", "No edge is up"); exit; }}
  t_relay();
  exit;
}}

route[OUT] {{
  if ($rU == "{out_of_service}") {{ sl_send_reply("503", "Service Unavailable"); exit; }}
  if (!pv_proxy_authenticate("{realm}", "{password}", "0") || $au != "{username}") {{
    proxy_challenge("{realm}", "1");
    exit;
  }}
  xlog("L_ALERT", "KNOWN $au\\n");
  consume_credentials();
  record_route();
  $du = "sip:127.0.0.1:{phone}";
  t_relay();
  exit;
}}

event_route[dispatcher:dst-up] {{ xlog("L_ALERT", "UP $ru\\n"); }}
event_route[dispatcher:dst-down] {{ xlog("L_ALERT", "DOWN $ru\\n"); }}
"""

EDGES = "1 sip:127.0.0.1:{edge};transport=tls 9\n"
"""Flags 1 and 8: start as inactive and probe, so an edge is used only after it has answered an OPTIONS."""


class KamailioPorts:
    """Kamailio's ports, chosen before it runs because the edge's settings need them."""

    def __init__(self) -> None:
        self.udp, self.tls, self.phone = free_port(), free_port(), free_port()


class Kamailio(Process):
    """A running Kamailio in front of the edge; constructed once the edge has answered its OPTIONS."""

    def __init__(self, folder: Path, certificates: Path, ports: KamailioPorts, edge: EdgeProcess) -> None:
        self.ports = ports
        settings = folder / "kamailio.cfg"
        settings.write_text(
            SETTINGS.format(
                udp=ports.udp, tls=ports.tls, phone=ports.phone, certificates=certificates, folder=folder,
                realm=REALM, username=USERNAME, password=PASSWORD, out_of_service=OUT_OF_SERVICE,
            )
        )  # fmt: skip
        (folder / "edges.list").write_text(EDGES.format(edge=edge.tls_port))
        program = installed("kamailio", "kamailio kamailio-tls-modules")
        options = ["-DD", "-E", "-m", "32", "-M", "4", "-Y", str(folder), "-P", str(folder / "kamailio.pid")]
        super().__init__([program, *options, "-f", str(settings)], folder / "kamailio.log", cwd=folder)
        self.wait_for_port("udp", ports.udp)
        self.ready(lambda: "UP sip:" in self.printed, "the edge answers its OPTIONS with 200")

    def in_dialog_requests(self, method: str) -> list[str]:
        """Transport and Route headers of the in-dialog requests that Kamailio has received."""
        return re.findall(rf"WITHIN {method} (.*)", self.printed)

    def wait_for_log(self, word: str) -> None:
        """Wait until its log contains this word."""
        until(lambda: word in self.printed, f"Kamailio logs {word}\n{self.printed}")


def has_both_record_routes(ports: KamailioPorts, seen: str) -> bool:
    """Whether a request came by TLS and its Route has both of Kamailio's Record-Routes, the TLS one first."""
    inner = rf"<sip:{HOST}:{ports.tls};transport=tls;[^>]*r2=on[^>]*>"
    outer = rf"<sip:{HOST}:{ports.udp};[^>]*r2=on[^>]*>"
    return re.search(rf"^tls routes={inner},? ?{outer}", seen) is not None
