"""The words by which the simulator reads a text: months, moods, topics, and words that tell nothing."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janvier enero",
            "february feb februar février febrero",
            "march mar märz mars marzo",
            "april apr avril abril",
            "may mai mayo",
            "june jun juni juin junio",
            "july jul juli juillet julio",
            "august aug août agosto",
            "september sep sept septembre septiembre",
            "october oct oktober okt octobre octubre",
            "november nov novembre noviembre",
            "december dec dezember dez décembre diciembre",
        ),
        start=1,
    )
    for name in names.split()
}

# Capitalised words that start a sentence, a heading or a date, never a person's name.
NOT_NAMES = (
    _words(
        """
        the this that dear hello hi hey thanks thank best kind warm regards sincerely yours invoice order number date
        total amount subtotal tax vat payment due bill ship shipping customer product item description quantity price
        please monday tuesday wednesday thursday friday saturday sunday subject from to re fwd extract inc ltd gmbh llc
        corp review rating company street road avenue bank account support team service phone email my your our we i it
        they he she what when where how why after before since while if and but not no yes very usb wifi new
        """
    )
    | MONTHS.keys()
)

POSITIVE = _words(
    """
    good great excellent love loved loves perfect happy amazing fantastic wonderful best awesome recommend recommended
    pleased satisfied delighted super toll gut prima zufrieden excelente génial parfait helpful friendly fast easy
    beautiful enjoy enjoyed works
    """
)
NEGATIVE = _words(
    """
    bad terrible awful worst broken broke poor disappointed disappointing hate hated never horrible useless refund
    defective damaged angry unacceptable slow wrong missing cracked schlecht kaputt enttäuscht mal mauvais waste rude
    failed fails stopped complaint return
    """
)
URGENT = _words("urgent urgently asap immediately emergency critical dringend sofort outage down")
NEGATIONS = _words("not no never without isn don doesn didn wasn nicht kein keine")
# Words in the name of a yes-or-no field that do not say what it is about.
NOT_TELLING = _words("is has was are should needs need can does did be the a an of to flag any requires require")
# Too common in the descriptions of tools to tell one tool from another.
EMPTY_WORDS = _words("a an and are by for from get given in is it of on or returns set that the this to use with")
# A label of these words alone says nothing about which field it belongs to.
GENERIC = _words("name number id date type no address value")
MONEY = _words("total amount price cost tax vat subtotal sum fee paid balance revenue due net gross refund")
# What stands beside the number of a field with the name on the left.
VALUED_BY = {
    "quantity": _words("x × qty pcs units pieces"),
    "qty": _words("x × quantity pcs units pieces"),
    "rating": _words("stars star rated"),
    "stars": _words("rating rated"),
    "age": _words("years old"),
    "count": _words("items"),
    "tax": _words("vat mwst"),
}

_DELIVERY = _words("delivery delivered parcel package shipping shipped shipment arrive arrived tracking courier")
# Words of a text that speak for a member of an enumeration with (a part of) the name on the left.
SPEAKS_FOR = {
    "positive": POSITIVE,
    "happy": POSITIVE,
    "prais": POSITIVE,
    "negative": NEGATIVE,
    "unhappy": NEGATIVE,
    "complain": NEGATIVE,
    "urgent": URGENT,
    "high": URGENT,
    "critical": URGENT,
    "bill": _words("invoice charge charged refund payment paid bill billing credit price"),
    "ship": _DELIVERY,
    "deliver": _DELIVERY,
    "tech": _words("error crash crashes bug login install update app website screen wifi connect loading"),
    "bug": _words("error crash crashes bug broken fails"),
    "account": _words("account password login username profile sign"),
    "return": _words("return refund exchange send back"),
    "refund": _words("refund refunded money back"),
    "english": _words("the and is was with for"),
    "german": _words("der die und ist nicht das ich"),
    "french": _words("le la et est les je vous"),
    "spanish": _words("el la y es los que por"),
}
LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish"}
