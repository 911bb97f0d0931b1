// Making elements. Text is always set as text: nothing from a document is ever read as HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, part] of Object.entries(value)) made.style.setProperty(name, part);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function percent(part) {
  const value = 100 * part;
  if (value > 0 && value < 1) return "under 1%";
  if (value > 99 && value < 100) return "over 99%";
  return `${Math.round(value)}%`;
}

export function seconds(value) {
  return value < 1 ? `${Math.round(1000 * value)} ms` : `${value.toFixed(1)} s`;
}

export function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

export function fileName(source) {
  return source.split("/").pop();
}

// A place as people say it: page, or lines.
export function place(citation) {
  if (citation.page !== null && citation.page !== undefined) {
    const label = citation.page_label && citation.page_label !== String(citation.page) ? ` (${citation.page_label})` : "";
    return `page ${citation.page}${label}`;
  }
  return citation.line_start === citation.line_end
    ? `line ${citation.line_start}`
    : `lines ${citation.line_start}–${citation.line_end}`;
}

// Characters as the server counts them (code points), from `start` to `end`.
export function slice(characters, start, end) {
  return characters.slice(Math.max(0, start), Math.max(0, end)).join("");
}
