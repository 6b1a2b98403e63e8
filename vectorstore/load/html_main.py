"""The main part of a page: what is left when navigation, banners, sidebars, related links, forms and footers are taken out.

By what an element is (its tag and role), what it is called (class and id), and how much of its text is links.
Measured against libraries for it in docs/decisions/011-pdf-and-html.md.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from vectorstore.load.decode import clean

_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "dialog", "alertdialog", "menu", "menubar", "toolbar"))
_NAMES = re.compile(
    r"(?:^|[\s_-])(?:cookies?|consent|gdpr|cc-window|breadcrumbs?|newsletter|signup|shar(?:e|ing)|sidebar|sidenav|navbar|gnav|pagination|pager|footer|masthead"
    r"|toc|advert\w*|ads|sponsored|popup|modal|skip|skiplink|respond|editsection|headerlink|catlinks|tagline|sitesub|(?:comment|reply)[_-]form)(?=$|[\s_-])"
    r"|^(?:header|side|menu|nav|search)(?=$|\s)|(?:^|[\s_-])(?:site|page|global)[_-]header(?=$|[\s_-])",
    re.IGNORECASE,
)
_NAMES_OF_LINKS = re.compile(
    r"(?:^|[\s_-])(?:related|recommend\w*|menu|nav|navigation|social|widget|promo|teasers?|tags|bio|author-bio)(?=$|[\s_-])", re.IGNORECASE
)
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_HOLDERS = frozenset(("ul", "ol", "div", "td", "section", "p", "center", "menu"))
_NEVER = frozenset(("html", "body", "main", "article", "h1"))
_MOST = 0.4
"""The share of a page's text above which an element is no sideshow, whatever it is called."""
_DATES = ("article:published_time", "date", "dc.date", "dcterms.created", "datepublished")


class _Weight(NamedTuple):
    text: int
    linked: int
    links: int
    has_h1: bool


def strip(root: Any) -> None:
    """Empty those elements of a parsed page that are not its text."""
    elements = [element for element in root.iter() if isinstance(element.tag, str)]
    weights = _weigh(elements)
    total = max(weights[elements[0]].text, 1)
    inside = _inside(elements)
    for element in elements[1:]:
        if element.tag not in _NEVER and _is_beside(element, weights[element], total, inside[element]):
            element.clear(keep_tail=True)


def parts(root: Any) -> list[Any]:
    """The main element, or the outermost articles where they hold most of the text, or the whole."""
    for found in root.iter("main"):
        return [found]
    for found in root.iterfind(".//*[@role='main']"):
        return [found]
    articles = [article for article in root.iter("article") if next(article.iterancestors("article"), None) is None]
    if articles and 2 * sum(map(_length, articles)) >= _length(root):
        return articles
    return [root]


def _length(element: Any) -> int:
    return sum(len(text.strip()) for text in element.itertext() if isinstance(text, str))


def _weigh(elements: list[Any]) -> dict[Any, _Weight]:
    """The letters in each element, those in links, the links, and whether it has the heading of the page."""
    weights: dict[Any, _Weight] = {}
    for element in reversed(elements):  # children come before their parents
        if element.tag in ("script", "style", "head", "noscript", "template"):
            weights[element] = _Weight(0, 0, 0, False)
            continue
        text = len((element.text or "").strip())
        linked = links = 0
        has_h1 = element.tag == "h1"
        for child in element:
            if child in weights:
                inner = weights[child]
                text += inner.text
                linked += inner.linked
                links += inner.links
                has_h1 = has_h1 or inner.has_h1
            text += len((child.tail or "").strip())
        weights[element] = _Weight(text, text, 1, has_h1) if element.tag == "a" else _Weight(text, linked, links, has_h1)
    return weights


def _inside(elements: list[Any]) -> dict[Any, str]:
    """For each element the nearest `main` or `article` around it, or nothing."""
    inside: dict[Any, str] = {}
    for element in elements:
        parent = element.getparent()
        around = inside.get(parent, "") if parent is not None else ""
        inside[element] = element.tag if element.tag in ("main", "article") else "main" if element.get("role") == "main" else around
    return inside


def _is_beside(element: Any, weight: _Weight, total: int, inside: str) -> bool:
    tag = element.tag
    if tag == "nav" or element.get("role") in _ROLES or _HIDDEN.search(element.get("style") or ""):
        return True
    if weight.text > _MOST * total or (weight.has_h1 and tag != "form"):
        return False
    dense = weight.linked > 0.5 * weight.text
    if tag == "footer":
        return inside != "article" or dense
    if tag in ("header", "aside"):
        return not inside or dense or _is_called(element, _NAMES)
    if tag == "form":
        return True
    if _is_called(element, _NAMES):
        return True
    if _is_called(element, _NAMES_OF_LINKS) and (dense or (weight.text < 200 and not inside)):
        return True
    return not inside and tag in _HOLDERS and weight.links > 2 and weight.linked > 0.75 * weight.text


def _is_called(element: Any, names: re.Pattern[str]) -> bool:
    return any(names.search(name[:500]) for name in (element.get("class"), element.get("id")) if name)


def title_of(root: Any) -> str:
    """What the page says that it is called: to those who share it, else in its title; its first heading comes after them."""
    return _meta(root).get("og:title") or root.findtext(".//title") or ""


def metadata_of(root: Any) -> dict[str, str]:
    """Language, author, date and description, as far as the page names them."""
    meta = _meta(root)
    html = next(root.iter("html"), root)
    found = {
        "language": html.get("lang") or html.get("{http://www.w3.org/XML/1998/namespace}lang") or "",
        "author": meta.get("author") or meta.get("article:author") or "",
        "date": next((meta[name] for name in _DATES if meta.get(name)), ""),
        "description": meta.get("description") or meta.get("og:description") or "",
    }
    return {name: " ".join(clean(value).split())[:1000] for name, value in found.items() if value.strip()}


def _meta(root: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in root.iter("meta"):
        name = (element.get("name") or element.get("property") or element.get("itemprop") or "").lower()
        if name and (content := (element.get("content") or "").strip()):
            found.setdefault(name, content)
    return found
