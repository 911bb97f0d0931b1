// The documents of an index: drop files, see them indexed and what was left out, find one, remove one.

import { events, getJson, remove, upload } from "./api.js";
import { count, element, percent } from "./dom.js";

const SHOWN = 100;

export class Documents {
  constructor(place, index, { open, changed }) {
    this.place = place;
    this.index = index;
    this.open = open;
    this.changed = changed;
    this.jobs = element("div", { class: "jobs", "aria-live": "polite" });
    this.list = element("ul", { class: "files" });
    this.total = element("p", { class: "quiet" });
    this.search = element("input", { type: "search", id: "find", placeholder: "Find by name", oninput: () => this.load() });
    this.picker = element("input", { type: "file", id: "picker", multiple: true, class: "unseen", onchange: () => this.add([...this.picker.files]) });
  }

  show(facts) {
    this.facts = facts;
    const drop = element(
      "div",
      { class: "drop" },
      element("label", { for: "picker", class: "button" }, "Add files"),
      this.picker,
      element("p", { class: "quiet" }, `or drop them anywhere on the page. At most ${facts.max_file_mb} MB a file.`),
      element("details", { class: "quiet" }, element("summary", {}, "What can be read"), facts.formats.join(" ")),
    );
    const readOnly = facts.indexes.find((one) => one.name === this.index())?.read_only;
    const close = element("button", { type: "button", class: "close", "aria-label": "Close the documents", onclick: () => this.close() }, "×");
    this.place.replaceChildren(
      element("div", { class: "pane-head" }, element("h2", {}, "Documents"), close),
      readOnly ? element("p", { class: "quiet" }, "This server takes no files.") : drop,
      this.jobs,
      element("label", { class: "unseen", for: "find" }, "Find by name"),
      this.search,
      this.total,
      this.list,
    );
    this.place.hidden = false;
    document.getElementById("documents-button").setAttribute("aria-expanded", "true");
    return this.load();
  }

  close() {
    if (this.place.hidden) return false;
    this.place.hidden = true;
    const button = document.getElementById("documents-button");
    button.setAttribute("aria-expanded", "false");
    button.focus();
    return true;
  }

  async load() {
    const wanted = this.search.value;
    const { documents, total } = await getJson("/v1/documents", { index: this.index(), containing: wanted, limit: SHOWN });
    if (wanted !== this.search.value) return;
    this.total.textContent = total > documents.length ? `${documents.length} of ${count(total, "file")}` : count(total, "file");
    this.list.replaceChildren(...documents.map((file) => this.row(file)));
  }

  row(file) {
    const notes = [
      file.documents > 1 ? count(file.documents, "document") : "",
      file.missing ? "gone from its place" : "",
      file.complete ? "" : "not read to its end",
      file.left_out.length ? `${count(file.left_out.length, "part")} left out` : "",
    ].filter(Boolean);
    const open = () => this.open({ document_id: file.id, document: file.source, start: 0, end: 0, answer_start: null });
    const name = file.id === null ? element("span", {}, file.name) : element("button", { type: "button", class: "link", onclick: open, title: file.source }, file.name);
    const drop = element("button", { type: "button", class: "remove", "aria-label": `Remove ${file.name}`, onclick: (event) => this.remove(file, event.currentTarget) }, "Remove");
    const details = file.left_out.length
      ? element("details", { class: "quiet" }, element("summary", {}, notes.join(", ")), leftOut(file.left_out))
      : element("span", { class: "quiet" }, notes.join(", "));
    return element("li", {}, name, details, file.id === null ? "" : drop);
  }

  // The first press asks, the second removes: no dialog.
  async remove(file, button) {
    if (button.dataset.sure !== "yes") {
      button.dataset.sure = "yes";
      button.textContent = file.uploaded ? "Remove it?" : "Remove from the index?";
      setTimeout(() => {
        button.dataset.sure = "";
        button.textContent = "Remove";
      }, 4000);
      return;
    }
    try {
      await remove(`/v1/documents/${file.id}`, { index: this.index() });
    } catch (error) {
      this.note(file.name, error);
    }
    await this.load();
    this.changed();
  }

  note(name, error) {
    this.jobs.prepend(element("p", { class: "failure" }, `${name}: ${error.message}`, error.hint ? element("span", { class: "quiet" }, ` ${error.hint}`) : ""));
  }

  async add(files) {
    if (!files.length) return;
    this.picker.value = "";
    const title = files.length === 1 ? files[0].name : count(files.length, "file");
    const said = element("p", {}, `${title}: sending`);
    const bar = element("progress", { max: "1", value: "0", "aria-label": title });
    const box = element("div", { class: "job" }, said, bar);
    this.jobs.prepend(box);
    try {
      let job = await upload("/v1/documents", { index: this.index() }, files, (part) => {
        bar.value = part;
        said.textContent = `${title}: sending ${percent(part)}`;
      });
      for await (const [, state] of events(`/v1/jobs/${job.id}/events`)) {
        job = state;
        said.textContent = `${title}: ${progress(job)}`;
        if (job.total) bar.value = job.done / job.total;
        else bar.removeAttribute("value");
      }
      box.replaceChildren(...ended(title, job));
    } catch (error) {
      box.replaceChildren(element("p", { class: "failure" }, `${title}: ${error.message}`), element("p", { class: "quiet" }, error.hint ?? ""));
    }
    await this.load();
    this.changed();
  }
}

function progress(job) {
  const left = job.seconds_left ? `, ${Math.ceil(job.seconds_left)} s left` : "";
  const done = job.total ? ` ${job.done.toLocaleString("en")} of ${job.total.toLocaleString("en")} ${job.unit}` : "";
  return `${job.stage || job.state}${done}${left}`;
}

function ended(title, job) {
  if (job.error) return [element("p", { class: "failure" }, `${title}: ${job.error.message}`), element("p", { class: "quiet" }, job.error.hint ?? "")];
  const parts = [
    job.added ? `${count(job.added, "file")} added` : "",
    job.replaced ? `${job.replaced} replaced` : "",
    job.unchanged ? `${job.unchanged} as before` : "",
    job.duplicates.length ? `${count(job.duplicates.length, "duplicate")} (${job.duplicates.slice(0, 3).join(", ")})` : "",
  ].filter(Boolean);
  const said = element("p", {}, `${title}: ${parts.join(", ") || "nothing to add"}`);
  if (!job.left_out.length) return [said];
  return [said, element("details", { open: true }, element("summary", {}, `${count(job.left_out.length, "part")} left out`), leftOut(job.left_out))];
}

function leftOut(parts) {
  return element("ul", {}, parts.map((part) => element("li", {}, part.message.startsWith(`${part.name}:`) ? part.message : `${part.name}: ${part.message}`, part.hint ? element("span", { class: "quiet" }, ` — ${part.hint}`) : "")));
}
