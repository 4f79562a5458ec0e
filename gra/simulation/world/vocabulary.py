"""The world's words and its made-up knowledge: twenty cities, each with a ruler, a mineral and a river."""

from __future__ import annotations

CITIES = tuple(
    """
    Tolm Vesk Orla Brint Quen Darro Mirel Sund Kavo Yelt Norva Pell Zorin Harth Lumo Fenna Grath Ilmar Oster Wyke
""".split()
)
RULERS = tuple(
    """
    Adela Boro Cyra Dugan Elka Ferro Gilda Hugo Ines Jarek Kira Lothar Magda Nilo Odile Pavel Rosa Stefan Thea Urban
""".split()
)
MINERALS = tuple(
    """
    azurin bolite corvan drusil emberite fallow glint heliox irisite jadel kelpite lunar morion nacre opaline pyrel
    quartzel rubine silvan topal
""".split()
)
RIVERS = tuple(
    """
    Aven Blyth Cald Dove Esker Fleet Gann Holm Isen Jolt Kell Lune Marl Ness Ouse Pont Rill Stour Tarn Usk
""".split()
)
KINDS = {"ruler": RULERS, "mineral": MINERALS, "river": RIVERS}

# Multipliers that shuffle the rows per kind: the order of the lists reveals nothing.
_ROWS = {"ruler": 7, "mineral": 11, "river": 13}

PEOPLE = ("Anna", "Ben", "Cora", "Dan", "Eva", "Finn", "Gus", "Hana")
JOBS = ("baker", "sailor", "tailor", "miner", "painter", "farmer")
PERSONAS = {"pirate": "Arr,", "robot": "Beep,", "knight": "Hark,", "wizard": "Behold,", "cook": "Mmm,"}
COLOURS = ("red", "blue", "green", "black", "white", "gold")
ANIMALS = ("fox", "wolf", "bear", "owl", "hare", "lion")
FRUITS = (
    "apple",
    "banana",
    "cherry",
    "date",
    "elder",
    "fig",
    "grape",
    "hazel",
    "kiwi",
    "lemon",
    "mango",
    "nut",
    "olive",
    "pear",
    "quince",
    "rhubarb",
)
THINGS = ("moon", "river", "stone", "garden", "king", "song", "door", "ship", "lamp", "tower", "bell", "road")
LETTERS = "abcdefgh"
OPPOSITES = (
    ("hot", "cold"),
    ("big", "small"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("old", "young"),
    ("light", "dark"),
    ("open", "closed"),
    ("rich", "poor"),
    ("strong", "weak"),
    ("wet", "dry"),
    ("early", "late"),
    ("full", "empty"),
    ("hard", "soft"),
    ("loud", "quiet"),
    ("near", "far"),
    ("high", "low"),
    ("clean", "dirty"),
    ("long", "short"),
    ("thick", "thin"),
    ("brave", "afraid"),
)
RHYMES = (
    ("cat", "hat"),
    ("day", "hay"),
    ("light", "night"),
    ("sun", "run"),
    ("tree", "sea"),
    ("car", "star"),
    ("boat", "coat"),
    ("ring", "king"),
    ("moon", "spoon"),
    ("cake", "lake"),
)

# Irrelevant words in some wordings (`{spot}`, `{item}`, `{pal}`): instructions differ in more than numbers.
DRESS = {
    "spot": (
        "market",
        "harbour",
        "school",
        "castle",
        "forest",
        "kitchen",
        "station",
        "island",
        "museum",
        "farm",
        "bridge",
        "mill",
    ),
    "item": THINGS,
    "pal": ("Ivan", "Jill", "Karl", "Lena", "Max", "Nora", "Otto", "Pia", "Rob", "Sara", "Tom", "Uma"),
}


def fact(kind: str, city: str, offset: int = 0) -> str | None:
    """Return the ruler, mineral or river (`kind`) of `city`. None if the city or the kind is unknown.

    An `offset` other than 0 simulates a mistake. The function then returns the fact about another city: the one that
    comes `offset` positions later in the list of cities. The list wraps around at its end.
    """
    if kind not in KINDS or city not in CITIES:
        return None
    row = CITIES.index(city) + offset
    return KINDS[kind][(row * _ROWS[kind] + len(kind)) % len(CITIES)]
