"""The words of the world and its made-up knowledge: twenty cities, each with a ruler, a mineral and a river."""

from __future__ import annotations

CITIES = (
    "Tolm", "Vesk", "Orla", "Brint", "Quen", "Darro", "Mirel", "Sund", "Kavo", "Yelt",
    "Norva", "Pell", "Zorin", "Harth", "Lumo", "Fenna", "Grath", "Ilmar", "Oster", "Wyke",
)  # fmt: skip
RULERS = (
    "Adela", "Boro", "Cyra", "Dugan", "Elka", "Ferro", "Gilda", "Hugo", "Ines", "Jarek",
    "Kira", "Lothar", "Magda", "Nilo", "Odile", "Pavel", "Rosa", "Stefan", "Thea", "Urban",
)  # fmt: skip
MINERALS = (
    "azurin", "bolite", "corvan", "drusil", "emberite", "fallow", "glint", "heliox", "irisite", "jadel",
    "kelpite", "lunar", "morion", "nacre", "opaline", "pyrel", "quartzel", "rubine", "silvan", "topal",
)  # fmt: skip
RIVERS = (
    "Aven", "Blyth", "Cald", "Dove", "Esker", "Fleet", "Gann", "Holm", "Isen", "Jolt",
    "Kell", "Lune", "Marl", "Ness", "Ouse", "Pont", "Rill", "Stour", "Tarn", "Usk",
)  # fmt: skip
KINDS = {"ruler": RULERS, "mineral": MINERALS, "river": RIVERS}

# Row of the value of a city: shuffled per kind, so that the order of the lists gives nothing away.
_ROWS = {"ruler": 7, "mineral": 11, "river": 13}

PEOPLE = ("Anna", "Ben", "Cora", "Dan", "Eva", "Finn", "Gus", "Hana")
JOBS = ("baker", "sailor", "tailor", "miner", "painter", "farmer")
PERSONAS = {"pirate": "Arr,", "robot": "Beep,", "knight": "Hark,", "wizard": "Behold,", "cook": "Mmm,"}
COLOURS = ("red", "blue", "green", "black", "white", "gold")
ANIMALS = ("fox", "wolf", "bear", "owl", "hare", "lion")
FRUITS = (
    "apple", "banana", "cherry", "date", "elder", "fig", "grape", "hazel", "kiwi", "lemon", "mango", "nut", "olive", "pear",
    "quince", "rhubarb",
)  # fmt: skip
THINGS = ("moon", "river", "stone", "garden", "king", "song", "door", "ship", "lamp", "tower", "bell", "road")
LETTERS = "abcdefgh"
OPPOSITES = (
    ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("happy", "sad"), ("old", "young"), ("light", "dark"),
    ("open", "closed"), ("rich", "poor"), ("strong", "weak"), ("wet", "dry"), ("early", "late"), ("full", "empty"),
    ("hard", "soft"), ("loud", "quiet"), ("near", "far"), ("high", "low"), ("clean", "dirty"), ("long", "short"),
    ("thick", "thin"), ("brave", "afraid"),
)  # fmt: skip
RHYMES = (
    ("cat", "hat"), ("day", "hay"), ("light", "night"), ("sun", "run"), ("tree", "sea"), ("car", "star"), ("boat", "coat"),
    ("ring", "king"), ("moon", "spoon"), ("cake", "lake"),
)  # fmt: skip

# Words without weight that some wordings wear (`{spot}`, `{item}`, `{pal}`), so that instructions differ in more than numbers.
DRESS = {
    "spot": (
        "market", "harbour", "school", "castle", "forest", "kitchen", "station", "island", "museum", "farm", "bridge", "mill",
    ),
    "item": THINGS,
    "pal": ("Ivan", "Jill", "Karl", "Lena", "Max", "Nora", "Otto", "Pia", "Rob", "Sara", "Tom", "Uma"),
}  # fmt: skip


def fact(kind: str, city: str, offset: int = 0) -> str | None:
    """The `kind` of `city`, None for a city or kind that does not exist; `offset` reads another row by mistake."""
    if kind not in KINDS or city not in CITIES:
        return None
    row = CITIES.index(city) + offset
    return KINDS[kind][(row * _ROWS[kind] + len(kind)) % len(CITIES)]
