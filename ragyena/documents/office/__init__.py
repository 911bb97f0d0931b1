"""Word processor and slide files (OOXML and OpenDocument): their zip archives, their XML and what it shows a person.

The XML is walked here with lxml rather than through python-docx, python-pptx or odfpy: those pass over tracked changes,
text boxes, content controls, notes and numbering, refuse macro and strict files, and unpack every part of an archive
before its size can be judged.
"""
