"""Kamailio as a stateful proxy with dialogs (tm, rr, dialog): as installed, or with its fast allocator."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

from bench.place import Place
from bench.process import Program
from tests.sipp.ports import free_port
from tests.sipp.process import installed

FAST: Final = ("-x", "fm", "-X", "fm")
"""The fast allocator for shared and private memory; the default of Debian's build is slower."""
SHARED_MIB, PRIVATE_MIB = 1024, 32
"""Pool sizes: room for every transaction of the fastest run. Only touched pages count as memory."""

SETTINGS = """\
#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
listen=udp:127.0.0.1:{near}
{secure}
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "dialog.so"
{topoh}

request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            t_relay();
        }} else if (is_method("ACK")) {{
            if (t_check_trans()) t_relay();
        }} else {{
            sl_send_reply("404", "Not here");
        }}
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    t_check_trans();
    if (!is_method("INVITE")) {{
        sl_send_reply("405", "Method Not Allowed");
        exit;
    }}
    record_route();
    dlg_manage();
    if ($rU == "probe") {{
        $du = "sip:127.0.0.1:{probe}";
    }} else {{
        $du = "sip:127.0.0.1:{far}{param}";
    }}
    t_relay();
}}
"""

SECURE = """\
listen=tls:127.0.0.1:{tls}
enable_tls=yes
loadmodule "tls.so"
modparam("tls", "private_key", "{folder}/privkey.pem")
modparam("tls", "certificate", "{folder}/fullchain.pem")
modparam("tls", "ca_list", "{folder}/ca.pem")
modparam("tls", "tls_method", "TLSv1.2+")
"""

TOPOH = """\
loadmodule "topoh.so"
modparam("topoh", "mask_key", "bench")
modparam("topoh", "mask_callid", 1)
"""


class Kamailio(Program):
    """One UDP worker (and one for TLS), as a proxy that stays in the path; ready once constructed."""

    def __init__(self, place: Place, *, fast: bool, topoh: bool = False) -> None:
        secure = SECURE.format(tls=free_port(), folder=place.folder) if place.secure else ""
        settings = place.folder / "kamailio.cfg"
        settings.write_text(
            SETTINGS.format(
                near=place.near, far=place.far, param=place.param, probe=place.probe or 0,
                secure=secure, topoh=TOPOH if topoh else "",
            ),
            encoding="utf-8",
        )  # fmt: skip
        command = [installed("kamailio", "kamailio"), *(FAST if fast else ())]
        command += ["-m", str(SHARED_MIB), "-M", str(PRIVATE_MIB), "-DD", "-E", "-f", str(settings)]
        command += [
            "-P",
            str(place.folder / "kamailio.pid"),
            "-Y",
            str(place.folder),
            "-w",
            str(place.folder),
        ]
        super().__init__(command, place.folder / "kamailio.log", cwd=place.folder, core=place.core)
        self.wait_for_port("udp", place.near)


def version() -> str:
    """Return its version; AssertionError if it is not installed."""
    said = subprocess.run(
        [installed("kamailio", "kamailio"), "-v"], capture_output=True, text=True, check=True
    )
    found = re.search(r"kamailio (\d+\.\d+\.\d+)", said.stdout)
    return found[1] if found else "unknown"


def speaks_tls() -> bool:
    """Whether its TLS module is installed, which is a separate package in Debian."""
    return any(Path("/usr/lib").glob("*/kamailio/modules/tls.so"))
