"""Small tables of the kinds that people make, each with the lines that must come out of it."""

from __future__ import annotations

import time

import pytest

from ragyena.documents.merged_cells import Covered
from ragyena.documents.tables import RowWriter, read_table

CASES = {
    "names above values": (
        """Product | Units | Price
        Lamp | 40 | 19.90
        Chair | 7 |""",
        ["Product: Lamp; Units: 40; Price: 19.90", "Product: Chair; Units: 7"],
    ),
    "a title above the names": (
        """Sales report 2024 |  |
        Product | Units | Price
        Lamp | 40 | 19.90""",
        ["Sales report 2024", "Product: Lamp; Units: 40; Price: 19.90"],
    ),
    "two rows of names, the upper merged": (
        """Department | Q1 | Q1 | Q2 | Q2
        Department | Plan | Actual | Plan | Actual
        Legal | 100 | 120 | 110 | 95
        Total | 1 | 2 | 3 | 4""",
        [
            "Department: Legal; Q1 Plan: 100; Q1 Actual: 120; Q2 Plan: 110; Q2 Actual: 95",
            "Department: Total; Q1 Plan: 1; Q1 Actual: 2; Q2 Plan: 3; Q2 Actual: 4",
        ],
    ),
    "two rows of names under an empty corner": (
        """Department | Q1 | Q1 | Q2 | Q2
         | Plan | Actual | Plan | Actual
        Legal | 100 | 120 | 110 | 95""",
        ["Department: Legal; Q1 Plan: 100; Q1 Actual: 120; Q2 Plan: 110; Q2 Actual: 95"],
    ),
    "two rows of names, the upper with gaps": (
        """Department | Q1 |  | Q2 |
         | Plan | Actual | Plan | Actual
        Legal | 100 | 120 | 110 | 95""",
        ["Department: Legal; Q1 Plan: 100; Q1 Actual: 120; Q2 Plan: 110; Q2 Actual: 95"],
    ),
    "two rows of names, the upper merged, a column without a group after it": (
        """Pupil | Maths | < | Science | < |
         | Test | Mark | Test | Mark | Absent days
        Ann | 12 | B | 15 | A | 3""",
        ["Pupil: Ann; Maths Test: 12; Maths Mark: B; Science Test: 15; Science Mark: A; Absent days: 3"],
    ),
    "group header above": (
        """ | Sales | Sales | Sales
        Region | Q1 | Q2 | Q3
        North | 1 | 2 | 3
        South | 4 | 5 | 6""",
        [
            "Region: North; Sales Q1: 1; Sales Q2: 2; Sales Q3: 3",
            "Region: South; Sales Q1: 4; Sales Q2: 5; Sales Q3: 6",
        ],
    ),
    "three rows of names, the first name merged over them": (
        """Region | 2023 | 2023 | 2024 | 2024
        Region | H1 | H2 | H1 | H2
        Region | Plan | Plan | Plan | Plan
        North | 1 | 2 | 3 | 4
        North | 5 | 6 | 7 | 8""",
        [
            "Region: North; 2023 H1 Plan: 1; 2023 H2 Plan: 2; 2024 H1 Plan: 3; 2024 H2 Plan: 4",
            "Region: North; 2023 H1 Plan: 5; 2023 H2 Plan: 6; 2024 H1 Plan: 7; 2024 H2 Plan: 8",
        ],
    ),
    "two rows of names without groups, the first name merged over them": (
        """Pump | Weight | Flow
        Pump | with motor | at 20 °C
        V-10 | 3.1 kg | 4 l/s
        V-20 | 3.9 kg | 6 l/s""",
        [
            "Pump: V-10; Weight with motor: 3.1 kg; Flow at 20 °C: 4 l/s",
            "Pump: V-20; Weight with motor: 3.9 kg; Flow at 20 °C: 6 l/s",
        ],
    ),
    "three rows of names": (
        """Region | 2023 | 2023 | 2024 | 2024
        Region | H1 | H2 | H1 | H2
         | EUR | EUR | EUR | EUR
        North | 1 | 2 | 3 | 4
        South | 4 | 5 | 6 | 7""",
        [
            "Region: North; 2023 H1 (EUR): 1; 2023 H2 (EUR): 2; 2024 H1 (EUR): 3; 2024 H2 (EUR): 4",
            "Region: South; 2023 H1 (EUR): 4; 2023 H2 (EUR): 5; 2024 H1 (EUR): 6; 2024 H2 (EUR): 7",
        ],
    ),
    "years as names": (
        """Country | 2019 | 2020 | 2021
        Norway | 5.3 | 5.4 | 5.5
        Sweden | 10.2 | 10.3 | 10.4""",
        ["Country: Norway; 2019: 5.3; 2020: 5.4; 2021: 5.5", "Country: Sweden; 2019: 10.2; 2020: 10.3; 2021: 10.4"],
    ),
    "years that are data": (
        """1698 | first light | oak
        1759 | third | granite""",
        ["1698 | first light | oak", "1759 | third | granite"],
    ),
    "years and numbers that are data": (
        """1698 | 12
        1759 | 13""",
        ["1698 | 12", "1759 | 13"],
    ),
    "one year": (
        """Item | 2024
        Lamp | 300
        Chair | 20""",
        ["Item: Lamp; 2024: 300", "Item: Chair; 2024: 20"],
    ),
    "units row": (
        """Model | Weight | Pressure
         | kg | bar
        V-10 | 3.1 | 10
        V-20 | 3.9 |""",
        ["Model: V-10; Weight (kg): 3.1; Pressure (bar): 10", "Model: V-20; Weight (kg): 3.9"],
    ),
    "form with colons": (
        """Name: | Ann Lee
        Born: | 1970
        City: | Oslo""",
        ["Name: Ann Lee", "Born: 1970", "City: Oslo"],
    ),
    "form without colons": (
        """Name | Ann Lee
        Born | 1970
        City | Oslo
        Email | a@b.c""",
        ["Name: Ann Lee", "Born: 1970", "City: Oslo", "Email: a@b.c"],
    ),
    "form of four columns": (
        """Name: | Ann Lee | Born: | 1970
        City: | Oslo | Phone: | 555 123
        Remarks: | none | < | <""",
        ["Name: Ann Lee; Born: 1970", "City: Oslo; Phone: 555 123", "Remarks: none"],
    ),
    "form of four columns without colons": (
        """Name | Ann Lee | Date of birth | 1970
        City | Oslo | Phone | 555 123""",
        ["Name: Ann Lee; Date of birth: 1970", "City: Oslo; Phone: 555 123"],
    ),
    "countries": (
        """Country | Capital
        France | Paris
        Norway | Oslo""",
        ["Country: France; Capital: Paris", "Country: Norway; Capital: Oslo"],
    ),
    "a price list with a text among the prices": (
        """Product | Price
        Lamp | 19.90
        Chair | on request
        Desk | n/a""",
        ["Product: Lamp; Price: 19.90", "Product: Chair; Price: on request", "Product: Desk; Price: n/a"],
    ),
    "spec sheet": (
        """Weight | 3.9 kg
        Pressure | 10 bar
        Colour | blue
        Made in | Norway""",
        ["Weight: 3.9 kg", "Pressure: 10 bar", "Colour: blue", "Made in: Norway"],
    ),
    "a form under general names": (
        """Property | Value
        Weight | 3.9 kg
        Pressure | 10 bar""",
        ["Property: Value", "Weight: 3.9 kg", "Pressure: 10 bar"],
    ),
    "transposed": (
        """Model | V-10 | V-20
        Weight | 3.1 kg | 3.9 kg
        Pressure | 10 bar |
        Colour | red | blue
        Price | 10 € | 12 €""",
        [
            "Weight; Model V-10: 3.1 kg; Model V-20: 3.9 kg",
            "Pressure; Model V-10: 10 bar",
            "Colour; Model V-10: red; Model V-20: blue",
            "Price; Model V-10: 10 €; Model V-20: 12 €",
        ],
    ),
    "a corner that names the labels": (
        """Limit | Free | Pro
        Projects | 3 | 50
        Storage | 1 GB | 100 GB
        Support | forum | e-mail
        API calls per day | 1,000 | 100,000""",
        [
            "Limit: Projects; Free: 3; Pro: 50",
            "Limit: Storage; Free: 1 GB; Pro: 100 GB",
            "Limit: Support; Free: forum; Pro: e-mail",
            "Limit: API calls per day; Free: 1,000; Pro: 100,000",
        ],
    ),
    "a corner that names measures": (
        """Weight up to | 1 kg | 2 kg
        Domestic | 5.00 | 7.00
        Abroad | 9.00 | 12.00""",
        [
            "Domestic; Weight up to 1 kg: 5.00; Weight up to 2 kg: 7.00",
            "Abroad; Weight up to 1 kg: 9.00; Weight up to 2 kg: 12.00",
        ],
    ),
    "transposed empty corner": (
        """ | V-10 | V-20
        Weight | 3.1 kg | 3.9 kg
        Pressure | 10 bar | 12 bar""",
        ["Weight; V-10: 3.1 kg; V-20: 3.9 kg", "Pressure; V-10: 10 bar; V-20: 12 bar"],
    ),
    "sections": (
        """Item | Qty | Price
        Fruit |  |
        Apple | 3 | 1.20
        Pear | 4 | 2.20
        Vegetables |  |
        Leek | 1 | 0.90
        Total |  | 4.30""",
        [
            "Fruit",
            "Fruit > Item: Apple; Qty: 3; Price: 1.20",
            "Fruit > Item: Pear; Qty: 4; Price: 2.20",
            "Vegetables",
            "Vegetables > Item: Leek; Qty: 1; Price: 0.90",
            "Item: Total; Price: 4.30",
        ],
    ),
    "sections, then notes": (
        """Item | Qty | Price
        Fruit |  |
        Apple | 3 | 1.20
        Pear | 4 | 2.20
        Plum | 9 | 1.80
        Prices include VAT |  |
        Delivery on Fridays | < | <""",
        [
            "Fruit",
            "Fruit > Item: Apple; Qty: 3; Price: 1.20",
            "Fruit > Item: Pear; Qty: 4; Price: 2.20",
            "Fruit > Item: Plum; Qty: 9; Price: 1.80",
            "Prices include VAT",
            "Delivery on Fridays",
        ],
    ),
    "sections merged": (
        """Item | Qty | Price
        Fruit | < | <
        Apple | 3 | 1.20
        Pear | 4 | 2.20
        Subtotal | 7 | 3.4
        Vegetables | < | <
        Leek | 1 | 0.90
        Subtotal | 1 | 0.9
        Total |  | 4.30""",
        [
            "Fruit",
            "Fruit > Item: Apple; Qty: 3; Price: 1.20",
            "Fruit > Item: Pear; Qty: 4; Price: 2.20",
            "Fruit > Item: Subtotal; Qty: 7; Price: 3.4",
            "Vegetables",
            "Vegetables > Item: Leek; Qty: 1; Price: 0.90",
            "Vegetables > Item: Subtotal; Qty: 1; Price: 0.9",
            "Item: Total; Price: 4.30",
        ],
    ),
    "balance": (
        """ | 2024 | 2023
        ASSETS |  |
        Current assets |  |
        Cash | 100 | 90
        Receivables | 50 | 40
        Total current assets | 150 | 130
        Non-current assets |  |
        Plant | 500 | 510
        Total non-current assets | 500 | 510
        Total assets | 650 | 640
        LIABILITIES |  |
        Current liabilities |  |
        Payables | 70 | 60""",
        [
            "ASSETS",
            "ASSETS > Current assets",
            "ASSETS > Current assets > Cash; 2024: 100; 2023: 90",
            "ASSETS > Current assets > Receivables; 2024: 50; 2023: 40",
            "ASSETS > Current assets > Total current assets; 2024: 150; 2023: 130",
            "ASSETS > Non-current assets",
            "ASSETS > Non-current assets > Plant; 2024: 500; 2023: 510",
            "ASSETS > Non-current assets > Total non-current assets; 2024: 500; 2023: 510",
            "ASSETS > Total assets; 2024: 650; 2023: 640",
            "LIABILITIES",
            "LIABILITIES > Current liabilities",
            "LIABILITIES > Current liabilities > Payables; 2024: 70; 2023: 60",
        ],
    ),
    "a group named once": (
        """Region | City | Sales
        North | Alto | 11
         | Bero | 22
         | Cimo | 33
        South | Dado | 4
         | Eno | 5""",
        [
            "Region: North; City: Alto; Sales: 11",
            "Region: North; City: Bero; Sales: 22",
            "Region: North; City: Cimo; Sales: 33",
            "Region: South; City: Dado; Sales: 4",
            "Region: South; City: Eno; Sales: 5",
        ],
    ),
    "two tables side by side": (
        """Name | Score | Name | Score
        Ann | 3 | Bob | 4
        Cid | 5 |  |""",
        ["Name: Ann; Score: 3", "Name: Bob; Score: 4", "Name: Cid; Score: 5"],
    ),
    "names that repeat": (
        """Name | Phone | Phone | Mail
        Ann | 1 | 2 | a@b
        Bob | 3 | 4 | c@d""",
        ["Name: Ann; Phone: 1; Phone (2): 2; Mail: a@b", "Name: Bob; Phone: 3; Phone (2): 4; Mail: c@d"],
    ),
    "numbers without names": (
        """3 | 4 | 5
        6 | 7 | 8""",
        ["3 | 4 | 5", "6 | 7 | 8"],
    ),
    "records without names": (
        """Lamp | 40 | 19.90
        Chair | 7 | 5.50
        Desk | 8 | 100.00""",
        ["Lamp | 40 | 19.90", "Chair | 7 | 5.50", "Desk | 8 | 100.00"],
    ),
    "labels and values above the names": (
        """Account: | 12345 |  |  |
        Period: | 2024-01 |  |  |  |
        Date | Text | Debit | Credit | Balance
        2024-01-02 | Rent | 900 |  | 100
        2024-01-05 | Wage |  | 2000 | 2100""",
        [
            "Account: 12345",
            "Period: 2024-01",
            "Date: 2024-01-02; Text: Rent; Debit: 900; Balance: 100",
            "Date: 2024-01-05; Text: Wage; Credit: 2000; Balance: 2100",
        ],
    ),
    "footnote": (
        """Item | Qty | Price
        Lamp* | 3 | 1.20
        * while stocks last |  |
        Source: own data |  |""",
        ["Item: Lamp*; Qty: 3; Price: 1.20", "* while stocks last", "Source: own data"],
    ),
    "months": (
        """Station | Jan | Feb | Mar
        Oslo | -4 | -3 | 1
        Rome | 8 | 9 | 11""",
        ["Station: Oslo; Jan: -4; Feb: -3; Mar: 1", "Station: Rome; Jan: 8; Feb: 9; Mar: 11"],
    ),
    "dates as names": (
        """Employee | 2024-01-01 | 2024-01-02 | 2024-01-03
        Ann | 8 | 8 | 7.5
        Bob |  | 8 | 8""",
        ["Employee: Ann; 2024-01-01: 8; 2024-01-02: 8; 2024-01-03: 7.5", "Employee: Bob; 2024-01-02: 8; 2024-01-03: 8"],
    ),
    "days of a month": (
        """Employee | 1 | 2 | 3 | 4
        Ann | 8 | 8 | 7.5 | 8
        Bob |  | 8 | 8 | K""",
        ["Employee: Ann; 1: 8; 2: 8; 3: 7.5; 4: 8", "Employee: Bob; 2: 8; 3: 8; 4: K"],
    ),
    "sizes as names": (
        """Size | 10 mm | 20 mm | 30 mm
        Price | 4.50 | 5.50 | 6.50
        Stock | 3 | 7 | 12""",
        [
            "Price; Size 10 mm: 4.50; Size 20 mm: 5.50; Size 30 mm: 6.50",
            "Stock; Size 10 mm: 3; Size 20 mm: 7; Size 30 mm: 12",
        ],
    ),
    "text alone": (
        """Name | Role | Team
        Ann | Chair | Red
        Bob | Clerk | Blue""",
        ["Name: Ann; Role: Chair; Team: Red", "Name: Bob; Role: Clerk; Team: Blue"],
    ),
    "one row": (
        """granite | oak""",
        ["granite | oak"],
    ),
    "repeated header": (
        """Name | Age
        Ann | 3
        Name | Age
        Bob | 4""",
        ["Name: Ann; Age: 3", "Name: Bob; Age: 4"],
    ),
    "survey": (
        """Question | Strongly agree | Agree | Neutral | Disagree
        The food is good | 12% | 40% | 20% | 28%
        Staff are kind | 50% | 30% | 15% | 5%""",
        [
            "Question: The food is good; Strongly agree: 12%; Agree: 40%; Neutral: 20%; Disagree: 28%",
            "Question: Staff are kind; Strongly agree: 50%; Agree: 30%; Neutral: 15%; Disagree: 5%",
        ],
    ),
    "timesheet": (
        """Timesheet |  |  |  |  |
        Employee: | Ann Lee |  | Week: | 12 |
        Day | Start | End | Break | Hours | Project
        Mon | 08:00 | 16:30 | 0:30 | 8:00 | Alpha
        Tue | 08:15 | 16:00 | 0:30 | 7:15 | Beta
        Total |  |  |  | 15:15 |""",
        [
            "Timesheet",
            "Employee: Ann Lee; Week: 12",
            "Day: Mon; Start: 08:00; End: 16:30; Break: 0:30; Hours: 8:00; Project: Alpha",
            "Day: Tue; Start: 08:15; End: 16:00; Break: 0:30; Hours: 7:15; Project: Beta",
            "Day: Total; Hours: 15:15",
        ],
    ),
    "features by plan": (
        """Feature | Basic | Pro | Enterprise
        SSO | No | Yes | Yes
        Users | 5 | 50 | unlimited
        Support | Email | Phone | 24/7
        Price | $10 | $20 | $99""",
        [
            "Feature: SSO; Basic: No; Pro: Yes; Enterprise: Yes",
            "Feature: Users; Basic: 5; Pro: 50; Enterprise: unlimited",
            "Feature: Support; Basic: Email; Pro: Phone; Enterprise: 24/7",
            "Feature: Price; Basic: $10; Pro: $20; Enterprise: $99",
        ],
    ),
    "two titles": (
        """ACME Ltd |  |  |
        Price list valid from 2024-01-01 |  |  |
        Art. no. | Description | Unit | Price
        1001 | Bolt M8 | pcs | 0.12
        1002 | Nut M8 | pcs | 0.08""",
        [
            "ACME Ltd",
            "Price list valid from 2024-01-01",
            "Art. no.: 1001; Description: Bolt M8; Unit: pcs; Price: 0.12",
            "Art. no.: 1002; Description: Nut M8; Unit: pcs; Price: 0.08",
        ],
    ),
    "an empty corner": (
        """ | Colour | Origin
        Apple | red | Oslo
        Pear | green | Rome""",
        ["Apple; Colour: red; Origin: Oslo", "Pear; Colour: green; Origin: Rome"],
    ),
    "an outline": (
        """Group | Item | Price
        Fruit |  |
         | Apple | 3
         | Pear | 4
        Veg |  |
         | Leek | 2""",
        ["Fruit", "Fruit > Item: Apple; Price: 3", "Fruit > Item: Pear; Price: 4", "Veg", "Veg > Item: Leek; Price: 2"],
    ),
    "a form of texts": (
        """Contractor | Pia Bellweather
        Client | Kulturwerk Harsum gGmbH
        Contract | framework agreement KW-17
        Place of the show | Old brewery""",
        [
            "Contractor: Pia Bellweather",
            "Client: Kulturwerk Harsum gGmbH",
            "Contract: framework agreement KW-17",
            "Place of the show: Old brewery",
        ],
    ),
    "a form of four columns whose labels all differ": (
        """Lecturer | Dr Amadou Kestrel | Assistant | Birgit Oxley (labs)
        Office | Lyell 214 | Office hours | Tue 14–16
        Book list | Soils, 4th ed. | Lab coat | yes""",
        [
            "Lecturer: Dr Amadou Kestrel; Assistant: Birgit Oxley (labs)",
            "Office: Lyell 214; Office hours: Tue 14–16",
            "Book list: Soils, 4th ed.; Lab coat: yes",
        ],
    ),
    "a form with sections": (
        """Size and weight | <
        Weight | 3.9 kg
        Length | 2.4 m
        Materials | <
        Fly | nylon 20D
        Poles | aluminium""",
        [
            "Size and weight",
            "Size and weight > Weight: 3.9 kg",
            "Size and weight > Length: 2.4 m",
            "Materials",
            "Materials > Fly: nylon 20D",
            "Materials > Poles: aluminium",
        ],
    ),
    "a form of two parties": (
        """Seller | Ann Lee | Buyer | Bob Day
        Address | 5 High St | Address | 7 Low St
        Phone | 555 1 | Phone | 555 2
        Remarks | none | < | <""",
        [
            "Seller: Ann Lee; Buyer: Bob Day",
            "Address: 5 High St; Address: 7 Low St",
            "Phone: 555 1; Phone: 555 2",
            "Remarks: none",
        ],
    ),
    "an empty value in a form": (
        """Name | Ann Lee | Course | Soil 101
        Mark |  | Late? | no
        Signature |  |  |""",
        ["Name: Ann Lee; Course: Soil 101", "Mark:; Late?: no", "Signature:"],
    ),
    "four columns of texts under names": (
        """Name | Role | Team | Office
        Ann | Leader | Red | Oslo
        Bob | Clerk | Blue | Rome""",
        ["Name: Ann; Role: Leader; Team: Red; Office: Oslo", "Name: Bob; Role: Clerk; Team: Blue; Office: Rome"],
    ),
    "a menu": (
        """Day | Menu 1 | Menu 2 | Vegan line
        Monday | Chicken stew | Lasagne | Lentil curry
        Tuesday | Goose leg | Gnocchi | Bean chilli""",
        [
            "Day: Monday; Menu 1: Chicken stew; Menu 2: Lasagne; Vegan line: Lentil curry",
            "Day: Tuesday; Menu 1: Goose leg; Menu 2: Gnocchi; Vegan line: Bean chilli",
        ],
    ),
    "two columns of texts under names": (
        """Step | Result
        Open the valve | The pump starts
        Close the valve | The pump stops""",
        ["Step: Open the valve; Result: The pump starts", "Step: Close the valve; Result: The pump stops"],
    ),
    "units of several kinds": (
        """No. | Plot name | Area | Trees | Planted | Vote | Noise
         |  | ha | pcs | year | points of 60 | dB(A)
        P1 | Lower Bank | 1.85 | 612 | 2009 | 12 | 63
        P2 | Church Field | 2.4 | 790 | 2014 | 14 | 64""",
        [
            "No.: P1; Plot name: Lower Bank; Area (ha): 1.85; Trees (pcs): 612; Planted (year): 2009; "
            "Vote (points of 60): 12; Noise (dB(A)): 63",
            "No.: P2; Plot name: Church Field; Area (ha): 2.4; Trees (pcs): 790; Planted (year): 2014; "
            "Vote (points of 60): 14; Noise (dB(A)): 64",
        ],
    ),
    "names that begin with a digit": (
        """Ticket | 1 zone | 2 zones | 3 zones
        Single adult | 2.40 | 3.60 | 4.90
        Monthly pass | 39.00 | 39.00 | 39.00""",
        [
            "Ticket: Single adult; 1 zone: 2.40; 2 zones: 3.60; 3 zones: 4.90",
            "Ticket: Monthly pass; 1 zone: 39.00; 2 zones: 39.00; 3 zones: 39.00",
        ],
    ),
    "equal neighbours": (
        """2024-03-04 00:00 | 0 | 0 | 49.4
        2024-03-04 01:00 | 0 | 0 | 48.9""",
        ["2024-03-04 00:00 | 0 | 0 | 49.4", "2024-03-04 01:00 | 0 | 0 | 48.9"],
    ),
    "equal values in the first row": (
        """0 | 0 | 0
        1 | 2 | 4""",
        ["0 | 0 | 0", "1 | 2 | 4"],
    ),
    "equal texts in a row": (
        """Item | May | June
        Tea | in stock | sold out
        none | none | none""",
        ["Item: Tea; May: in stock; June: sold out", "Item: none; May: none; June: none"],
    ),
    "merged cells without names": (
        """3 | 4 | < | 5
        6 | 7 | 8 | 9""",
        ["3 | 4 | 5", "6 | 7 | 8 | 9"],
    ),
    "a label over two columns": (
        """Event | Q2 | Q3
        Injuries | 3 | 4
        Days since the last | < | 46""",
        ["Event: Injuries; Q2: 3; Q3: 4", "Event: Days since the last; Q3: 46"],
    ),
    "a long text over two columns": (
        """Day | AM | PM
        Mon | Workshop about a very long topic that lasts all day | Workshop about a very long topic that lasts all day
        Tue | Rest | Walk""",
        ["Day: Mon; AM, PM: Workshop about a very long topic that lasts all day", "Day: Tue; AM: Rest; PM: Walk"],
    ),
}


def rows_of(text: str) -> list[list[str]]:
    """Cells parted by ``|``; a cell ``<`` is covered by the one to its left."""
    rows: list[list[str]] = []
    for line in text.split("\n"):
        rows.append([])
        for cell in map(str.strip, line.split("|")):
            rows[-1].append(Covered(rows[-1][-1]) if cell == "<" else cell)
    return rows


def lines_of(rows: list[list[str]], header_rows: int | None = None) -> list[str]:
    table = read_table(rows, header_rows)
    return [*table.titles, *(line for lines in table.lines() for line in lines)]


@pytest.mark.parametrize("name", CASES)
def test_every_line_can_be_understood_alone(name: str) -> None:
    text, lines = CASES[name]
    assert lines_of(rows_of(text)) == lines


def test_labels_that_are_said_to_be_no_names() -> None:
    assert lines_of([["Height", "330 m"], ["Opened", "1889"]], 0) == ["Height: 330 m", "Opened: 1889"]


def test_names_that_are_said_to_be_names() -> None:
    assert lines_of([["1698", "oak"], ["1759", "granite"]], 1) == ["1698: 1759; oak: granite"]
    assert lines_of([["a", "b"]], 1) == []
    assert lines_of([], 1) == []


def test_cells_of_several_lines_and_rows_of_different_lengths() -> None:
    rows = [["Name", "Address"], ["Ann", "5 High St\nOslo "], ["", ""], [], ["Bob"], ["Cid", "Rome", "extra"]]
    assert lines_of(rows) == ["Name: Ann; Address: 5 High St Oslo", "Name: Bob", "Name: Cid; Address: Rome; extra"]


def test_a_column_without_values_keeps_its_name() -> None:
    for rows in ([["Name", "Date", "Signature"], ["Ann"], ["Bob"]], [["Name", "Signature"], ["Ann"], ["Bob"]]):
        assert read_table(rows).header == tuple(rows[0])
        assert lines_of(rows) == ["Name: Ann", "Name: Bob"]


def test_a_wide_row_repeats_its_label_on_every_line() -> None:
    rows = [["Station", *(f"Day {i}" for i in range(300))], ["Oslo", *("12.5" for _ in range(300))], ["Rome", "13"]]
    lines = lines_of(rows)
    assert len(lines) > 5 and all(line.startswith(("Station: Oslo; Day ", "Station: Rome; Day ")) for line in lines)
    assert max(map(len, lines)) < 600
    assert sum(line.count("12.5") for line in lines) == 300


def test_a_running_number_is_not_the_label_alone() -> None:
    rows = [
        ["No", "Name", *(f"Field {i}" for i in range(60))],
        ["1", "Ann", *("value" for _ in range(60))],
        ["2", "Bob"],
    ]
    assert all(line.startswith("No: 1; Name: Ann; Field") for line in lines_of(rows)[:-1])


def test_later_rows_are_written_by_the_layout_of_the_first() -> None:
    writer = RowWriter(read_table([["Name", "Age"], ["Ann", "3"]]).layout)
    written = [writer.lines(row) for row in (("Bob", "4"), (), ("Name", "Age"), ("Cid",))]
    assert written == [["Name: Bob; Age: 4"], [], [], ["Name: Cid"]]


def test_names_of_any_length_and_number_stay_bounded() -> None:
    table = read_table([["n" * 100_000, "b"], *([["x", "y"]] * 1000)], 1)
    assert sum(len(line) for lines in table.lines() for line in lines) < 200_000
    assert table.titles == ("n" * 100_000,)
    assert len(read_table([[f"c{i}" for i in range(5000)], ["x"] * 5000], 1).header) == 64


@pytest.mark.parametrize(
    "rows",
    [
        [["x"] * 50_000] * 3,
        [["n"] * 20_000, *([["x"]] * 20_000)],
        [["q"] * 20_000, [f"p{i}" for i in range(20_000)], *([["1"] * 20_000] * 3)],
        [["n:", "x"] * 20_000] * 3,
        [["x" * 60] * 20_000, ["a", "b"], ["y" * 60] * 20_000],
    ],
    ids=["equal columns", "one wide row", "merged names", "form", "long merged cells"],
)
def test_time_is_linear_in_the_cells(rows: list[list[str]]) -> None:
    began = time.process_time()
    lines_of(rows)
    lines_of(rows, 1)
    assert time.process_time() - began < 5
