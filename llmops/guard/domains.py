"""Which dotted names are domain names: by their last part, as no file's name and no attribute in a program ends."""

from __future__ import annotations

import re

_COUNTRIES = (
    "ac ad ae af ag ai al am ao aq ar at au aw az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cd cf cg ch ci ck cl cm cn co cr cu cv "
    "cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fm fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr gt gu gw gy hk hn hr ht hu ie il im "
    "io iq ir it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc me mg mh mk mm mn mo mp mq mr mt mu mv "
    "mw mx mz na nc ne nf ng ni nl np nr nu nz om pa pe pf pg ph pk pm pn pr pt pw qa re ro ru rw sa sb sc sd se sg si sk sl sm sn sr st sv sx sy "
    "sz tc td tf tg th tj tk tl tm tn tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"
)
_GENERIC = (
    "com org net edu gov mil int info biz name pro aero coop museum jobs mobi travel tel asia cat post xxx app dev cloud online shop store site "
    "tech blog news media agency company email global group life live network services solutions space systems team today tools website work works "
    "world xyz academy bank bio center club community design digital finance games health host legal love marketing page social software studio top "
    "video wiki berlin london nyc paris tokyo osaka kyoto nagoya yokohama"
)
TOP_LEVELS = frozenset(f"{_COUNTRIES} {_GENERIC}".split())
"""Countries (ISO 3166) without md, pl, ps, py, rs, sh, so, cc and the like, which files end with, and the larger generic ones of IANA's list."""
_ATTRIBUTES = frozenset(
    ("app", "do", "group", "host", "id", "in", "info", "is", "it", "me", "media", "name", "page", "store", "team", "to", "tools", "work")
)
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")


def is_domain(name: str) -> bool:
    """Whether a dotted name is most likely that of a host. `self.name` is none; `www.self.name` is one."""
    parts = name.split(".")
    if parts[-1].lower() not in TOP_LEVELS or not all(map(_WORD.fullmatch, parts)):
        return False
    if parts[0].lower() == "www":
        return len(parts) > 2
    # `e.g.` and `i.e` are no names of hosts, `st.do` hardly; `data.name` and `config.app` are parts of programs.
    return parts[-1].lower() not in _ATTRIBUTES and max(map(len, parts[:-1])) > 2
