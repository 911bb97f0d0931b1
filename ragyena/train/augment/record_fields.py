"""What made-up data sheets say: kinds of thing, their fields, how a field is labelled, asked for and filled in.

A line is ``label / label | question | question | value``: ``{}`` in a question is the thing's name. Values are patterns
that ``ragyena.train.augment.records`` fills in: ``<a-b>`` a whole number, ``<a-b.>`` one with a decimal, ``<year>``,
``<date>``, ``<name>`` and ``<place>`` names, ``<a-z>`` a small word, ``<x;y;z>`` one of the words, ``<many x;y;z>``
several with commas.
"""
# ruff: noqa: E501 - a field is one line

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Field", "Kind"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind of sheet."""

    labels: tuple[str, ...]
    questions: tuple[str, ...]
    """Ways to ask, with ``{}`` for the thing's name."""
    value: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that sheets are about."""

    names: tuple[str, ...]
    """Patterns of its name."""
    sections: tuple[str, ...]
    fields: tuple[Field, ...]


def _kind(names: str, sections: str, fields: str) -> Kind:
    return Kind(
        tuple(names.split(" / ")), tuple(sections.split(" / ")), tuple(map(_field, fields.strip().splitlines()))
    )


def _field(line: str) -> Field:
    labels, *questions, value = (part.strip() for part in line.split("|"))
    return Field(tuple(labels.split(" / ")), tuple(questions), value)


KINDS: tuple[Kind, ...] = (
    _kind(
        "<place> / <name> Island / <name> County / Lake <name> / <name> Valley",
        "Overview / Geography / People / Economy / Government / Transport",
        """
        Population / Inhabitants | How many people live in {}? | What is the population of {}? | <900-4000000>
        Area / Total area / Surface | How large is {}? | What is the area of {}? | <12-90000> sq km
        Highest point / Summit | What is the highest point of {}? | Which mountain is the highest in {}? | <name> <200-4900> m
        Lowest elevation / Lowest point | What is the lowest point of {}? | <name> <-40-80> m
        Capital / Seat / Chief town | What is the capital of {}? | What is the chief town of {}? | <place>
        Official language / Languages | Which languages are spoken in {}? | What is the official language of {}? | <many English;French;Danish;Swahili;Malay;Dutch;Arabic;Finnish;Tamil;Welsh>
        Currency | What is the currency of {}? | What money is used in {}? | <name> <dollar;pound;krone;franc;peso;crown>
        Climate | What is the climate of {} like? | What kind of climate does {} have? | <tropical;temperate;cool and wet;dry;subarctic>; <mild;short;long;rainy> <summers;winters>
        Governor / Head of government / Mayor | Who governs {}? | Who is the governor of {}? | <name>
        Exports / Main exports | What does {} export? | What are the main exports of {}? | <many copper;fish;timber;machinery;coffee;textiles;cheese;oil;wool>
        Annual rainfall / Precipitation | How much rain falls in {} each year? | <200-3100> mm
        Founded / Established | When was {} founded? | In which year was {} established? | <year>
        Independence / Independent since | When did {} become independent? | <date> (from <place>)
        Coastline | How long is the coastline of {}? | <3-2100> km
        Airports / Airfields | How many airports does {} have? | <0-60>
        Religions / Faiths | What religions are practised in {}? | <many Protestant;Roman Catholic;Muslim;Hindu;Buddhist;none;other> <2-70>%
        Literacy | What share of people in {} can read and write? | <40-99.>%
        Time zone | What time zone is {} in? | UTC<+;-><1-11>
        Railways / Rail network | How long are the railways of {}? | <10-5200> km
        National holiday | When is the national holiday of {}? | <date>
        """,
    ),
    _kind(
        "<name> Ltd / <name> Group / <name> & Sons / <name> Foods / <name> Energy / <name> Airways",
        "Company / Key figures / People / Contact / Results",
        """
        Headquarters / Head office | Where is {} based? | Where is the head office of {}? | <place>
        Founded / Year of foundation | When was {} founded? | In what year was {} started? | <year>
        Founder / Founded by | Who founded {}? | Who started {}? | <name>
        Chief executive / CEO / Managing director | Who runs {}? | Who is the chief executive of {}? | <name>
        Employees / Staff | How many people work for {}? | How many employees does {} have? | <12-90000>
        Revenue / Net sales / Turnover | How much revenue did {} make? | What was the turnover of {}? | $<1-900.> million
        Net income / Profit | What was the profit of {}? | How much did {} earn? | $<1-90.> million
        Operating margin | What was the operating margin of {}? | <1-30.>%
        Dividend per share | What dividend does {} pay per share? | $<0-4.>
        Products / Product lines | What does {} make? | What does {} sell? | <many engines;paint;bicycles;cheese;software;furniture;pumps;shoes;toys>
        Subsidiaries | Which companies does {} own? | <name> <Ltd;GmbH;Inc>, <name> <Ltd;SA;Inc>
        Auditor | Who audits {}? | <name> <LLP;& Co>
        Listed on / Stock exchange | On which exchange is {} listed? | <London;Frankfurt;Tokyo;New York> Stock Exchange
        Phone / Telephone | What is the phone number of {}? | +<10-99> <100-999> <1000-9999>
        Opening hours | When is {} open? | <7-10> am to <4-9> pm
        Total assets | What are the total assets of {}? | $<10-9000> million
        Fiscal year end / Financial year ends | When does the financial year of {} end? | <date>
        """,
    ),
    _kind(
        "<name> <100-9900> / <name> X<1-90> / <name> Model <2-40> / <name>-<10-80>",
        "Specification / Technical data / Dimensions / Service / Ordering",
        """
        Weight / Mass / Net weight | How heavy is the {}? | How much does the {} weigh? | <1-2200.> kg
        Length / Overall length | How long is the {}? | <10-900> cm
        Height | How tall is the {}? | How high is the {}? | <10-400> cm
        Power / Rated power / Output | How much power does the {} have? | What is the rated power of the {}? | <1-900> <kW;W;hp>
        Top speed / Maximum speed | How fast is the {}? | What is the top speed of the {}? | <20-420> km/h
        Battery life / Run time | How long does the battery of the {} last? | <2-60> hours
        Voltage / Supply | What voltage does the {} need? | <3;5;12;24;48;110;230> V
        Price / List price | How much does the {} cost? | What is the price of the {}? | <$;€;£><20-9800>
        Warranty / Guarantee | How long is the {} under warranty? | <1-10> years
        Operating temperature / Temperature range | At what temperatures can the {} be used? | -<5-40> to <30-85> °C
        Material / Housing | What is the {} made of? | <steel;aluminium;carbon fibre;oak;ABS plastic;brass>
        Capacity / Volume | What is the capacity of the {}? | How much does the {} hold? | <1-900> <l;ml;GB>
        Designer / Designed by | Who designed the {}? | <name>
        Manufacturer / Made by | Who makes the {}? | <name> <Works;AG;Industries>
        Introduced / In production since | When was the {} introduced? | <year>
        Units built / Number built | How many of the {} were built? | <20-90000>
        Service interval / Maintenance | How often does the {} need servicing? | every <2-24> months
        Order number / Part number | What is the order number of the {}? | <10-99>-<1000-9999>-<A;B;C;X>
        Engine | What engine does the {} use? | <name> <V6;V8;diesel;turboprop> <100-900>
        Colours / Available colours | What colours does the {} come in? | <many red;black;white;grey;green;silver>
        """,
    ),
    _kind(
        "<name> Bridge / <name> Tower / <name> Museum / <name> Library / <name> School / <name> Hospital / <name> Hall",
        "Facts / History / Visiting / Building",
        """
        Architect / Designed by | Who designed {}? | Who was the architect of {}? | <name>
        Opened / Opening | When did {} open? | When was {} opened? | <date>
        Built / Construction | When was {} built? | <year>
        Height / Total height | How tall is {}? | How high is {}? | <8-600> m
        Length / Span | How long is {}? | <20-4000> m
        Cost / Construction cost | How much did {} cost to build? | <$;£;€><1-900> million
        Floors / Storeys | How many floors does {} have? | <1-90>
        Visitors per year / Annual visitors | How many people visit {} each year? | <1000-4000000>
        Location / Address | Where is {}? | Where is {} located? | <1-300> <name> <Street;Road;Square>, <place>
        Owner / Owned by | Who owns {}? | <name> <Trust;Council;Foundation>
        Named after | Who is {} named after? | <name>
        Admission / Ticket price | How much does it cost to get into {}? | <£;$;€><2-40>
        Director / Head | Who is the director of {}? | Who heads {}? | <name>
        Rooms / Beds | How many rooms does {} have? | <4-900>
        Closed on / Closed | When is {} closed? | <Mondays;Tuesdays;Sundays;public holidays>
        Style | In what style was {} built? | <Gothic;Baroque;Art Deco;Brutalist;Georgian;Modernist>
        """,
    ),
    _kind(
        "<name>",
        "Profile / Life / Career / Personal",
        """
        Born / Date of birth | When was {} born? | <date>
        Birthplace / Place of birth | Where was {} born? | <place>
        Died / Date of death | When did {} die? | <date>
        Occupation / Profession | What did {} do for a living? | What was the profession of {}? | <many painter;teacher;engineer;judge;nurse;sailor;poet;botanist>
        Spouse / Married to | Who was {} married to? | Who did {} marry? | <name>
        Education / Studied at | Where did {} study? | Which university did {} attend? | University of <place>
        Children | How many children did {} have? | <1-9>
        Known for / Best known for | What is {} known for? | <the discovery of;a map of;paintings of;the history of> <place>
        Team / Club | Which team did {} play for? | <place> <United;Rovers;City;Tigers>
        Goals / Goals scored | How many goals did {} score? | <2-300>
        Party / Political party | Which party did {} belong to? | <Labour;Liberal;National;Green> Party
        Awards / Honours | What prize did {} win? | <name> <Prize;Medal;Award>
        Predecessor / Preceded by | Who came before {}? | <name>
        Successor / Succeeded by | Who succeeded {}? | <name>
        Height | How tall was {}? | <150-205> cm
        Email | What is the email address of {}? | <a-z><1-99>@example.org
        """,
    ),
    _kind(
        "<name> policy / <name> agreement / <name> course / <name> festival / <name> project / <name> server",
        "Summary / Terms / Settings / Dates / Contacts",
        """
        Deadline / Due date / Apply by | When is the deadline of the {}? | By when must one apply for the {}? | <date>
        Start / Start date / Begins | When does the {} start? | <date>
        Duration / Length | How long does the {} last? | <2-40> <days;weeks;months>
        Fee / Price per person | How much does the {} cost? | What is the fee of the {}? | <$;€;£><10-3000>
        Contact / Contact person / Coordinator | Who should be asked about the {}? | Who is the contact for the {}? | <name>
        Venue / Place / Room | Where does the {} take place? | <name> <Hall;House;Room <1-60>>
        Notice period / Cancellation | What notice does the {} require? | <2-90> days
        Penalty / Late fee | What is the penalty under the {}? | <1-20>% <per month;of the amount due>
        Limit / Maximum / Upper limit | What is the limit of the {}? | <5-900> <requests;people;days;items>
        Default timeout / Timeout | What is the timeout of the {}? | <1-120> seconds
        Port | Which port does the {} listen on? | <1024-9999>
        Version / Release | Which version is the {} at? | <1-9>.<0-30>.<0-9>
        License / Licence | Under which licence is the {}? | <MIT;Apache 2.0;GPL v3;BSD>
        Budget / Funding | What is the budget of the {}? | <$;€;£><10-900> thousand
        Approved by / Signed by | Who approved the {}? | Who signed the {}? | <name>
        Participants / Places | How many people take part in the {}? | <4-900>
        Review / Next review | When is the {} reviewed next? | <date>
        """,
    ),
)
