#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the man pages of section 3 from Doxygen's XML: one for each function and each type.

usage: pages.py XML_DIR OUT_DIR VERSION DATE

Doxygen itself writes one man page for each group of functions, and the packaged converters of its XML
(doxygen2man 2.0) lose the text that follows a reference within a sentence.
"""

import pathlib
import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

WIDTH = 78  # of a line of source text
COLUMNS = 72  # of a line of code, so that it fits a terminal of 80 with its indentation

# The page that has the notes of a whole group.
TOPICS = {"address": "nb_address", "conn": "nb_conn", "deadline": "nb_deadline", "error": "nb_error",
          "listener": "nb_listener", "serve": "nb_serve"}

# The initialiser of a structure is shown on its page.
INITIALISERS = {
    "nb_credentials": "NB_CREDENTIALS_INIT",
    "nb_connect_options": "NB_CONNECT_OPTIONS_INIT",
    "nb_listen_options": "NB_LISTEN_OPTIONS_INIT",
    "nb_serve_options": "NB_SERVE_OPTIONS_INIT",
    "nb_serve_counters": "NB_SERVE_COUNTERS_INIT",
}


def escape(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha") \
        .replace("~", "\\(ti")


def whole(text):
    """Escapes code within a sentence, whose words must not be hyphenated."""
    return " ".join("\\%" + escape(word) for word in text.split())


def prose(text):
    """Escapes what is not code: hyphens and apostrophes stay what they are, names stay whole."""
    return re.sub(r"\b(\w*_\w+)", r"\\%\1", text.replace("\\", "\\e"))


def inline(element, known):
    """The text of an element with its fonts: parameters and code are bold, pages have their section."""
    parts = [prose(element.text or "")]
    for child in element:
        if child.tag in ("computeroutput", "bold"):
            parts.append(f"\\fB{whole(''.join(child.itertext()))}\\fR")
        elif child.tag == "emphasis":
            parts.append(f"\\fI{prose(''.join(child.itertext()))}\\fR")
        elif child.tag == "ref":
            parts.append(reference("".join(child.itertext()), known))
        elif child.tag in ("ndash", "mdash"):
            parts.append("\\(en")
        elif child.tag == "linebreak":
            parts.append(" ")
        elif child.tag not in BLOCKS:
            raise SystemExit(f"pages.py: <{child.tag}> within a sentence is not known")
        parts.append(prose(child.tail or ""))
    return "".join(parts)


def reference(text, known):
    name = text.removesuffix("()")
    if name in known:
        return f"\\fB\\%{name}\\fR(3)"
    return f"\\fB{whole(text)}\\fR" if re.fullmatch(r"[\w:]+(\(\))?", text) else prose(text)


def wrapped(text):
    """Lines of source text, none of which can be taken for a request."""
    text = re.sub(r"(\w+)\((\d)\)", r"\\fB\1\\fR(\2)", text) if "\\fB" not in text else \
        re.sub(r"(?<![\w\\])(\w+)\((\d)\)", r"\\fB\1\\fR(\2)", text)
    # Within a word this would be a place to hyphenate it: it has to come first.
    text = re.sub(r"\S*\\%\S*", lambda word: "\\%" + word[0].replace("\\%", ""), text)
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return ["\\&" + line if line[0] in ".'" else line for line in lines]


def code(element):
    """The lines of a listing."""
    lines = []
    for line in element.iter("codeline"):
        text = ""
        for part in line.iter():
            text += part.text or ""
            if part.tag == "sp":
                text += " "
            if part is not line:
                text += part.tail or ""
        lines.append(text.rstrip())
    lines = textwrap.dedent("\n".join(lines)).split("\n")
    return [".EX"] + [("\\&" if text[:1] in (".", "'") else "") + escape(text)
                      for text in lines] + [".EE"]


def items(element, known):
    lines = []
    for item in element.findall("listitem"):
        lines += [".IP \\(bu 2"] + blocks(item, known, begun=True)
    return lines


def table(element, known):
    lines = []
    for row in element.findall("row")[1:]:
        cells = [" ".join(inline(para, known).strip() for para in entry.findall("para"))
                 for entry in row.findall("entry")]
        lines += [".PP", *wrapped(cells[0]), ".RS", *wrapped("; ".join(cells[1:])), ".RE"]
    return lines


def listing(element, known):
    return [".PP", ".RS 4"] + code(element) + [".RE"]


BLOCKS = {"itemizedlist": items, "table": table, "programlisting": listing,
          "parameterlist": None, "simplesect": None, "orderedlist": items}


def blocks(element, known, begun=False):
    """The paragraphs of an element, without those that have a section of their own."""
    lines = []
    for para in element.findall("para"):
        text = " ".join(inline(para, known).split())
        if text:
            lines += ([] if begun else [".PP"]) + wrapped(text)
            begun = False
        for child in para:
            if BLOCKS.get(child.tag):
                lines += BLOCKS[child.tag](child, known)
    return lines


def section(title, lines):
    if lines and lines[0] == ".PP":
        lines = lines[1:]
    return [f".SH {title}", *lines] if lines else []


def parameters(description, kind, known):
    lines = []
    for listed in description.iter("parameterlist"):
        if listed.get("kind") != kind:
            continue
        for item in listed.findall("parameteritem"):
            names = [whole(name.text) for name in item.iter("parametername")]
            lines += [".TP", *wrapped(", ".join(f"\\fB{name}\\fR" for name in names)),
                      *blocks(item.find("parameterdescription"), known, begun=True)]
    return lines


def returned(description, known):
    lines = []
    for part in description.iter("simplesect"):
        if part.get("kind") == "return":
            lines += blocks(part, known)
    return lines + parameters(description, "retval", known)


def titled(description, known):
    """The paragraphs with a title: a section each."""
    lines = []
    for part in description.iter("simplesect"):
        if part.get("kind") == "par":
            title = "".join(part.find("title").itertext())
            title = "EXAMPLES" if title == "Example" else title.upper()
            lines += section(title, blocks(part, known))
    return lines


def prototype(member):
    """The declaration, broken as a person would."""
    kind = "".join(member.find("type").itertext())
    arguments = []
    for param in member.findall("param"):
        declared = "".join(param.find("type").itertext())
        name = param.findtext("declname")
        arguments.append(declared + ("" if declared.endswith("*") or not name else " ")
                         + (name or ""))
    glue = "" if kind.endswith("*") else " "
    start = f"{kind}{glue}{member.findtext('name')}("
    lines = textwrap.wrap(", ".join(arguments).replace(" ", "\0").replace(",\0", ", ") + ");",
                          COLUMNS - len(start), break_long_words=False, break_on_hyphens=False)
    lines = [line.replace("\0", " ") for line in lines]
    return [".EX", *(escape((start if i == 0 else " " * len(start)) + line)
                     for i, line in enumerate(lines)), ".EE"]


def heading(name, brief, element, release):
    """The start of a page, up to the declaration."""
    header = pathlib.Path(element.find("location").get("file")).name
    version, date = release
    return [f'.TH {name.upper()} 3 {date} "netbasics {version}" netbasics', ".SH NAME",
            *wrapped(f"{name} \\- {brief}"), ".SH SYNOPSIS",
            f".B #include <netbasics/{header}>", ".PP"]


def brief_of(element):
    text = " ".join("".join(element.find("briefdescription").itertext()).split()).removesuffix(".")
    return prose(text[:1].lower() + text[1:])


def see_also(name, element, known):
    """The pages of all types and functions that this page names."""
    text = " ".join(element.itertext())
    names = sorted(other for other in known if other != name and re.search(rf"\b{other}\b", text))
    return section("SEE ALSO", [".ad l", *wrapped(", ".join(
        [f"\\fB\\%{other}\\fR(3)" for other in names] + ["\\fBnetbasics\\fR(7)"]))])


def description_of(member, known):
    return section("DESCRIPTION", wrapped(inline_of_brief(member, known))
                   + blocks(member.find("detaileddescription"), known))


def function_page(member, known, release):
    name = member.findtext("name")
    description = member.find("detaileddescription")
    declared = callback(member) if member.get("kind") == "typedef" else prototype(member)
    return [*heading(name, brief_of(member), member, release), *declared,
            *description_of(member, known),
            *section("PARAMETERS", parameters(description, "param", known)),
            *section("RETURN VALUE", returned(description, known)),
            *titled(description, known), *see_also(name, member, known)]


def callback(member):
    return [".EX", escape(" ".join(member.findtext("definition").split()) + ";"), ".EE"]


def opaque_page(member, known, release):
    name = member.findtext("name")
    return [*heading(name, brief_of(member), member, release), *callback(member),
            *description_of(member, known), *see_also(name, member, known)]


def with_topic(page, group, known):
    """A page with the notes of its group before SEE ALSO."""
    description = group.find("compounddef/detaileddescription")
    at = next(i for i, line in enumerate(page) if line == ".SH SEE ALSO")
    return page[:at] + section("NOTES", blocks(description, known)) + titled(description, known) \
        + page[at:]


def enumeration_page(member, known, release):
    name = member.findtext("name")
    values = member.findall("enumvalue")
    declared = [".EX", f"typedef enum {name} {{",
                *(escape(f"    {value.findtext('name')},") for value in values), f"}} {name};", ".EE"]
    lines = []
    for value in values:
        lines += [".TP", f".B {escape(value.findtext('name'))}",
                  *(blocks(value.find("briefdescription"), known, begun=True)
                    or blocks(value.find("detaileddescription"), known, begun=True))]
    return [*heading(name, brief_of(member), member, release), *declared,
            *description_of(member, known), *section("VALUES", lines),
            *see_also(name, member, known)]


def inline_of_brief(member, known):
    return " ".join(inline(member.find("briefdescription/para"), known).split())


def structure_page(compound, known, release):
    name = compound.findtext("compoundname")
    fields = [member for member in compound.iter("memberdef")
              if "private" not in "".join(member.find("briefdescription").itertext()).lower()
              and "Private" not in "".join(member.find("detaileddescription").itertext())]
    declared = []
    lines = []
    for field in fields:
        kind = "".join(field.find("type").itertext())
        glue = "" if kind.endswith("*") else " "
        array = field.findtext("argsstring") or ""
        declared.append(f"    {kind}{glue}{field.findtext('name')}{array};")
        described = (blocks(field.find("briefdescription"), known, begun=True)
                     or blocks(field.find("detaileddescription"), known, begun=True))
        lines += [".TP", f".B {escape(field.findtext('name'))}", *described]
    synopsis = [".EX", f"typedef struct {name} {{", *map(escape, declared), f"}} {name};"]
    if name in INITIALISERS:
        synopsis += ["", escape(f"{name} o = {INITIALISERS[name]};")]
    if not fields:
        synopsis = [".EX", f"typedef struct {name} {name};"]
    return [*heading(name, brief_of(compound), compound, release), *synopsis, ".EE",
            *description_of(compound, known), *section("FIELDS", lines),
            *see_also(name, compound, known)]


def main(xml_dir, out_dir, *release):
    xml = pathlib.Path(xml_dir)
    roots = [ElementTree.parse(path).getroot() for path in sorted(xml.glob("group__*.xml"))]
    members = [member for root in roots for member in root.iter("memberdef")]
    of_kind = {kind: [member for member in members if member.get("kind") == kind]
               for kind in ("function", "enum", "typedef", "define")}
    functions = of_kind["function"] + [member for member in of_kind["typedef"]
                                       if member.findtext("argsstring")]
    structures = [ElementTree.parse(path).getroot().find("compounddef")
                  for path in sorted(xml.glob("struct*.xml"))]
    structured = {compound.findtext("compoundname") for compound in structures}
    opaque = [member for member in of_kind["typedef"]
              if "struct" in member.findtext("definition")
              and member.findtext("name") not in structured]
    known = structured | {member.findtext("name")
                          for member in functions + of_kind["enum"] + opaque}
    pages = {member.findtext("name"): function_page(member, known, release)
             for member in functions}
    pages |= {member.findtext("name"): enumeration_page(member, known, release)
              for member in of_kind["enum"]}
    pages |= {compound.findtext("compoundname"): structure_page(compound, known, release)
              for compound in structures}
    pages |= {member.findtext("name"): opaque_page(member, known, release) for member in opaque}
    for root in roots:
        topic = TOPICS.get(root.findtext("compounddef/compoundname"))
        if topic:
            pages[topic] = with_topic(pages[topic], root, known)
    write(pathlib.Path(out_dir), pages)


def write(out, pages):
    out.mkdir(parents=True, exist_ok=True)
    for page in out.glob("*.3"):
        page.unlink()
    for name, lines in pages.items():
        (out / f"{name}.3").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
