"""The words that generated rows are made of. Only words; how many is a power of two.

Each pool's size is a power of two. Invariant: a change here changes the rows of every seed.
"""
# ruff: noqa: RUF001, SIM905 - names in several scripts are the point; words read best as text

GIVEN_NAMES = (
    "Ayşe Çağla Gökçe İbrahim Işıl Oğuzhan Şebnem Ümit Αθηνά Γιώργος Ελένη Κωνσταντίνος Σοφία "
    "Алёна Дмитрий Ирина Юрий Ольга Zoë François Noël Søren Åsa Łukasz Jiří Ágnes João Anaïs "
    "Maria John Fatima Chen"
).split()
FAMILY_NAMES = (
    "Yılmaz Öztürk Şahin Çelik Güneş Kılıç Παπαδόπουλος Νικολάου Βασιλείου Γεωργίου Иванова "
    "Щербаков Кузнецов Ёлкина Müller Großmann García Ibáñez Lefèvre Dvořák Wójcik Østergård "
    "Ñíguez O'Connor D'Angelo Smith-Jones Nguyễn Székely Åkesson Silva Brown Li"
).split()
CITIES = (
    "İstanbul Diyarbakır Muğla Αθήνα Θεσσαλονίκη Ηράκλειο Москва София Київ Zürich Malmö Kraków "
    "Brno Győr Besançon Köln"
).split()
PRODUCTS = (
    "Espresso cups, set of 6",
    'Monitor 27"',
    "Çay bardağı",
    "Ελαιόλαδο 5 l",
    "Самовар",
    "Crème brûlée torch",
    "USB-C cable, 2 m",
    "Nähmaschine",
)
AWKWARD_NOTES = (
    "=SUM(A1:A9)",
    "-50 % agreed",
    "+90 212 555 01 23",
    "@accounts, please check",
    'He said "tomorrow", then hung up',
    "Leave at the door;\nring twice",
    "First line\r\nsecond line",
    " leading and trailing ",
    "tab\tinside",
    "C:\\orders\\new",
    "thank you 🎉",
    "",
)
PLAIN_NOTES = ("gift wrapping", "call before delivery", "Rechnung an die Firma", "teşekkürler")
