// The document at the place of a citation, with the evidence marked: pages of a PDF as pictures, tables as tables.

import { getJson, getPicture } from "./api.js";
import { element, fileName, slice } from "./dom.js";

const AROUND = 4000; // characters shown before and after the evidence
const FILE_STATES = { changed: "The file has changed since it was indexed; this is the text that was read.", missing: "The file is gone; this is the text that was read." };

export class Viewer {
  constructor(place, index) {
    this.place = place;
    this.index = index;
    this.pictures = [];
    this.opened = 0;
  }

  // Show the place of a citation. `back` is focused again on closing.
  async open(citation, back) {
    this.back = back;
    const turn = ++this.opened;
    this.place.hidden = false;
    document.body.classList.add("viewing");
    this.fill(fileName(citation.document), [element("p", { class: "quiet" }, "opening …")]);
    this.place.focus();
    try {
      const about = await getJson(`/v1/documents/${citation.document_id}`, { index: this.index() });
      const evidence = evidenceOf(citation);
      if (!(await this.holds(citation))) {
        const gone = "What is cited does not stand there any more: the documents have changed since this answer. It was:";
        if (turn === this.opened) this.fill(fileName(citation.document), [element("p", { class: "failure" }, gone), element("blockquote", {}, citation.quote)]);
        return;
      }
      const content = about.pictures ? await this.pages(about, evidence) : null;
      if (turn !== this.opened) return;
      if (content) this.fill(about.title || fileName(about.source), [this.switch(about, evidence, "text"), ...content], about);
      else await this.text(about, evidence, turn);
    } catch (error) {
      if (turn === this.opened) this.fill(fileName(citation.document), [element("p", { class: "failure" }, error.message), element("p", { class: "quiet" }, error.hint ?? "")]);
    }
  }

  // Whether the document still has the words of a citation: one of the history may be of other documents by now.
  async holds(citation) {
    if (citation.quote === undefined) return true;
    const place = { start: citation.start, end: citation.end, index: this.index() };
    const { text } = await getJson(`/v1/documents/${citation.document_id}/text`, place);
    return text === citation.quote;
  }

  close() {
    if (this.place.hidden) return false;
    this.opened++;
    this.place.hidden = true;
    document.body.classList.remove("viewing");
    this.release();
    this.place.replaceChildren();
    this.back?.focus();
    return true;
  }

  release() {
    for (const picture of this.pictures) URL.revokeObjectURL(picture);
    this.pictures = [];
  }

  fill(title, content, about) {
    const state = FILE_STATES[about?.file_state];
    const close = element("button", { type: "button", class: "close", "aria-label": "Close the document", onclick: () => this.close() }, "×");
    const head = element("div", { class: "pane-head" }, element("h2", { title: about?.source ?? "" }, title), close);
    this.place.replaceChildren(head, state ? element("p", { class: "state" }, state) : "", ...content);
    this.place.querySelector("mark, .box")?.scrollIntoView({ block: "center" });
  }

  switch(about, evidence, to) {
    const go = async () => {
      const turn = ++this.opened;
      if (to === "text") return this.text(about, evidence, turn);
      const content = await this.pages(about, evidence);
      if (turn === this.opened) this.fill(about.title || fileName(about.source), [this.switch(about, evidence, "text"), ...content], about);
    };
    return element("p", {}, element("button", { type: "button", class: "link", onclick: go }, to === "text" ? "Show as text" : "Show the pages"));
  }

  // The pages with the evidence on them, boxes over it; null where it is on none.
  async pages(about, evidence) {
    const { pages } = await getJson(`/v1/documents/${about.id}/boxes`, { start: evidence.from, end: evidence.to, index: this.index() });
    if (!pages.length) return null;
    this.release();
    return Promise.all(
      pages.slice(0, 5).map(async (page) => {
        const source = await getPicture(`/v1/documents/${about.id}/pages/${page.page}.png`, { width: 1200, index: this.index() });
        this.pictures.push(source);
        const name = page.label && page.label !== String(page.page) ? `page ${page.page} (${page.label})` : `page ${page.page}`;
        const boxes = page.boxes.map((box) =>
          element("span", {
            class: "box",
            style: { left: `${100 * box.x0}%`, top: `${100 * box.y0}%`, width: `${100 * (box.x1 - box.x0)}%`, height: `${100 * (box.y1 - box.y0)}%` },
          }),
        );
        const picture = element("img", { src: source, alt: `${name} of ${fileName(about.source)}`, style: { "aspect-ratio": `${page.width} / ${page.height}` } });
        return element("figure", {}, element("div", { class: "sheet" }, picture, boxes), element("figcaption", { class: "quiet" }, name));
      }),
    );
  }

  // A stretch of the text around the evidence, which grows on request.
  async text(about, evidence, turn, from = evidence.start - AROUND, to = evidence.end + AROUND) {
    const [start, end] = [Math.max(0, from), Math.min(about.characters, to)];
    const { text } = await getJson(`/v1/documents/${about.id}/text`, { start, end, index: this.index() });
    if (turn !== this.opened) return;
    const more = (label, first, last) =>
      element("p", {}, element("button", { type: "button", class: "link", onclick: () => this.text(about, evidence, turn, first, last) }, label));
    this.fill(
      about.title || fileName(about.source),
      [
        about.pictures ? this.switch(about, evidence, "pages") : "",
        start > 0 ? more("Show what stands before", start - 10 * AROUND, end) : "",
        rendered(Array.from(text), start, about, evidence),
        end < about.characters ? more("Show what follows", start, end + 10 * AROUND) : "",
      ],
      about,
    );
  }
}

// The stretch to mark: the answer where it was extracted, else the quote.
function evidenceOf(citation) {
  const answer = citation.answer_start !== null && citation.answer_start !== undefined;
  return {
    start: citation.start,
    end: citation.end,
    from: answer ? citation.start + citation.answer_start : citation.start,
    to: answer ? citation.start + citation.answer_end : citation.end,
  };
}

// `characters` stand in the document from `offset` on. Tables and code are shown as such, the rest as paragraphs.
function rendered(characters, offset, about, evidence) {
  const whole = element("div", { class: "text" });
  const end = offset + characters.length;
  const blocks = about.blocks.filter((block) => block.end > offset && block.start < end && block.kind !== "prose").sort((a, b) => a.start - b.start);
  let at = offset;
  for (const block of [...blocks, { start: end, end, kind: "end", header: [] }]) {
    const first = Math.max(at, block.start);
    whole.append(...prose(characters, offset, at, first, about, evidence));
    const last = Math.max(first, Math.min(block.end, end));
    if (block.kind === "table") whole.append(table(characters, offset, first, last, block.header, evidence));
    else if (block.kind === "code") whole.append(element("pre", { tabindex: "0" }, marked(characters, offset, first, last, evidence)));
    else whole.append(...prose(characters, offset, first, last, about, evidence));
    at = last;
  }
  return whole;
}

function prose(characters, offset, from, to, about, evidence) {
  const headings = new Map(about.headings.map((heading) => [heading.start, heading.level]));
  return lines(characters, offset, from, to)
    .filter(([start, end]) => slice(characters, start - offset, end - offset).trim())
    .map(([start, end]) => {
      const level = headings.get(start);
      const name = level ? `h${Math.min(6, level + 2)}` : "p";
      return element(name, {}, marked(characters, offset, start, end, evidence));
    });
}

function lines(characters, offset, from, to) {
  const found = [];
  let start = from;
  for (let at = from; at < to; at++) {
    if (characters[at - offset] === "\n") {
      found.push([start, at]);
      start = at + 1;
    }
  }
  if (start < to) found.push([start, to]);
  return found;
}

// Rows stand in the text as `Name: value; Name: value`. A line of another form is a cell over the whole width.
function table(characters, offset, from, to, header, evidence) {
  const names = header.join(" | "); // as they stand above the rows of a csv file, and in the head of the table
  const isHit = (start, end) => start < evidence.to && evidence.from < end;
  const rows = lines(characters, offset, from, to).filter(([start, end]) => {
    const line = slice(characters, start - offset, end - offset).trim();
    return line && (line !== names || isHit(start, end));
  });
  const parsed = rows.map(([start, end]) => cells(characters, offset, start, end, header));
  const columns = header.filter((name) => parsed.some((row) => row?.has(name)));
  const body = rows.map(([start, end], at) => {
    const row = parsed[at];
    const wide = () => element("td", { colspan: String(Math.max(1, columns.length)) }, marked(characters, offset, start, end, evidence));
    const cell = (name) => element("td", {}, row.has(name) ? marked(characters, offset, ...row.get(name), evidence) : "");
    return element("tr", { class: isHit(start, end) ? "hit" : null }, row && columns.length ? columns.map(cell) : wide());
  });
  const head = columns.length ? element("thead", {}, element("tr", {}, columns.map((name) => element("th", { scope: "col" }, name)))) : "";
  return element("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" }, element("table", {}, head, element("tbody", {}, body)));
}

// Where the value of each column stands in a row; null where it is no such row.
function cells(characters, offset, start, end, header) {
  const found = new Map();
  const text = slice(characters, start - offset, end - offset);
  const units = (position) => start + Array.from(text.slice(0, position)).length;
  let at = 0;
  let last = null;
  for (const name of header) {
    const opening = `${name}: `;
    const position = at === 0 ? (text.startsWith(opening) ? 0 : -1) : text.indexOf(`; ${opening}`, at);
    if (position < 0) continue;
    if (last) found.set(last, [found.get(last)[0], units(position)]);
    at = position + opening.length + (at === 0 ? 0 : 2);
    found.set(name, [units(at), end]);
    last = name;
  }
  return found.size ? found : null;
}

// The characters from `from` to `to`, with those of the evidence in a mark.
function marked(characters, offset, from, to, evidence) {
  const first = Math.min(to, Math.max(from, evidence.from));
  const last = Math.min(to, Math.max(first, evidence.to));
  const text = (start, end) => slice(characters, start - offset, end - offset);
  if (last <= first) return [text(from, to)];
  return [text(from, first), element("mark", {}, text(first, last)), text(last, to)];
}
