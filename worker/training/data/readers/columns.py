"""Which column is the user, the item, the time, the rating: by name, and without a header by value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

Role = str
ROLES: tuple[Role, ...] = ("user", "item", "time", "rating")

# In order of preference; compared in lower case with everything but letters and digits left out.
KNOWN_NAMES: dict[Role, tuple[str, ...]] = {
    "user": (
        *("userid", "user", "uid", "users", "username", "reviewerid", "reviewer", "customerid", "customer"),
        *("memberid", "member", "accountid", "account", "visitorid", "visitor", "clientid", "client"),
        *("profileid", "playerid", "personid", "listenerid", "readerid", "sessionid", "session"),
    ),
    "item": (
        *("itemid", "item", "iid", "items", "movieid", "movie", "productid", "product", "asin", "parentasin"),
        *(
            "trackid",
            "track",
            "songid",
            "song",
            "artistid",
            "artist",
            "bookid",
            "book",
            "isbn",
            "gameid",
            "game",
        ),
        *("appid", "app", "articleid", "article", "newsid", "videoid", "video", "businessid", "contentid"),
        *(
            "goodsid",
            "sku",
            "skuid",
            "poiid",
            "poi",
            "venueid",
            "locationid",
            "recipeid",
            "courseid",
            "animeid",
        ),
    ),
    "time": (
        *("timestamp", "timestampms", "time", "ts", "datetime", "date", "unixreviewtime", "unixtime"),
        *(
            "eventtime",
            "eventtimestamp",
            "createdat",
            "created",
            "datetimeutc",
            "interactiontime",
            "orderdate",
        ),
        *("ratingtimestamp", "reviewtime", "purchasedate", "viewedat", "clickedat", "dateadded", "utctime"),
    ),
    "rating": (
        *("rating", "ratings", "score", "stars", "star", "overall", "starrating", "ratingscore"),
        *("reviewscore", "userrating", "ratingvalue", "reviewrating"),
    ),
}
# A name that no list holds may still begin or end as one of these do ("cust_user_id", "item_code"); names
# with a digit may not: "user1" is a user, no column of users.
AFFIXES: dict[Role, re.Pattern[str]] = {
    "user": re.compile(r"^(user|customer|reviewer|visitor|member)|(userid|customerid|memberid)$"),
    "item": re.compile(r"^(item|product|movie|track|article)|(itemid|productid|movieid|trackid|articleid)$"),
    "time": re.compile(r"(timestamp|datetime)$"),
    "rating": re.compile(r"(rating)$"),
}
# A timestamp after March 1973, in seconds or anything finer; ids and ratings are rarely as large.
UNIX_TIME = re.compile(r"[1-9]\d{8,18}(\.\d+)?|\d(\.\d+)?[eE]\+?(8|9|1\d)")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
NOTHING_NAMED: Mapping[Role, str | None] = MappingProxyType({})
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


def normalise(name: str) -> str:
    """Bring spellings together: "User ID", "user_id:token" and "userId" are all "userid"."""
    return re.sub(r"[^a-z0-9]", "", name.partition(":")[0].lower())


def guess_by_name(names: Sequence[str], named: Mapping[Role, str | None] = NOTHING_NAMED) -> dict[Role, str]:
    """Give each role that is not `named` yet the column whose name says so."""
    free = {name: normalise(name) for name in names if name not in named.values()}
    guess: dict[Role, str] = {}
    roles = [role for role in ROLES if role not in named]
    for role in roles:
        known = KNOWN_NAMES[role]
        matches = [name for name, normal in free.items() if normal in known]
        if matches:
            guess[role] = min(matches, key=lambda name: known.index(free[name]))
            del free[guess[role]]
    for role in roles:
        matches = [name for name, normal in free.items() if AFFIXES[role].search(normal) and normal.isalpha()]
        if role not in guess and matches:
            guess[role] = matches[0]
            del free[matches[0]]
    return guess


def guess_by_value(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    named: Mapping[Role, str | None] = NOTHING_NAMED,
) -> dict[Role, str]:
    """Give roles that are not `named` yet by place and value, for a file without a header.

    The first two columns are user and item; of the rest, the first that looks like times is the time, and the
    first other numeric one is the rating.
    """
    free = [at for at, name in enumerate(names) if name not in named.values()]
    leading = [role for role in ("user", "item") if role not in named]
    guess = {role: names[at] for role, at in zip(leading, free, strict=False)}
    for at in free[len(leading) :]:
        values = [row[at].strip() for row in rows if at < len(row) and row[at].strip()]
        role = "time" if all(is_time(value) for value in values) else "rating"
        numeric = role == "time" or all(NUMBER.fullmatch(value) for value in values)
        if values and numeric and role not in named:
            guess.setdefault(role, names[at])
    return guess


def is_time(value: str) -> bool:
    """Say whether a cell reads as a moment, with no other hint than itself."""
    return bool(UNIX_TIME.fullmatch(value) or ISO_DATE.fullmatch(value))


def looks_like_header(rows: Sequence[Sequence[str]], wanted: Sequence[str]) -> bool | None:
    """Say whether the first of the sample's rows names the columns; None where nothing speaks for either.

    `wanted` are column names that the caller asked for.
    """
    first = [cell.strip() for cell in rows[0]]
    if any(name in rows[0] for name in wanted):
        return True
    if any(NUMBER.fullmatch(cell) or ISO_DATE.fullmatch(cell) for cell in first):
        return False
    known = {name for names in KNOWN_NAMES.values() for name in names}
    if len(set(first)) == len(first) and any(normalise(cell) in known for cell in first):
        return True
    for at, cell in enumerate(first):
        below = [row[at].strip() for row in rows[1:] if at < len(row)]
        if not below:
            continue
        if all(NUMBER.fullmatch(value) or ISO_DATE.fullmatch(value) for value in below):
            return True
        if re.search(r"\d", cell) and any(_shape(cell) == _shape(value) for value in below):
            return False
    return None


def _shape(cell: str) -> str:
    """An id with its numbers blotted out: "user17" and "user4" have the same shape."""
    return re.sub(r"\d+", "0", cell)
