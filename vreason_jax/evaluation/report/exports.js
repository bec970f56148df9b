// Saves a table of the page as CSV, LaTeX or Markdown, and a figure as SVG: each as it stands.
"use strict";

// Return an element of HTML or SVG; strings become text, never markup.
const make = (name, ...rest) => filled(document.createElement(name), ...rest);
const draw = (name, ...rest) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", name), ...rest);

function filled(node, attributes = {}, ...children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== undefined && value !== null && value !== false)
      node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(9).filter((child) => child !== undefined && child !== null));
  return node;
}

const words = (node) => node.textContent.replace(/\s+/g, " ").trim();

// Returns the rows of a table as texts; a heading above several columns stands in all of them.
function matrix(table) {
  return [...table.rows].map((row) =>
    [...row.cells].flatMap((cell) => [words(cell), ...Array(cell.colSpan - 1).fill(null)]));
}

const headRows = (table) => (table.tHead ? table.tHead.rows.length : 0);
const DASH = "–";

// CSV for spreadsheets. "43.2 ± 1.7" and "1.4 [−0.6 to 3.4]" become columns of plain numbers.
function csv(table) {
  const size = headRows(table);
  const heads = matrix(table).slice(0, size).map((row) => {
    let last = "";
    return row.map((text) => (text === null ? last : (last = text)));
  });
  const rows = [...table.rows].slice(size).map((row) => [...row.cells].map(numbersOf));
  const widths = [...Array(heads[0].length).keys()].map((column) =>
    Math.max(1, ...rows.map((row) => (row[column] || []).length)));
  const names = widths.flatMap((width, column) => {
    const name = heads.map((row) => row[column]).filter(Boolean).join(": ").replace(" [95 %]", "");
    return [[name], [name, `${name}, ±`], [name, `${name}, low`, `${name}, high`]][width - 1];
  });
  const cells = rows.map((row) =>
    widths.flatMap((width, column) => [...Array(width).keys()].map((at) => row[column]?.[at] ?? "")));
  return "\ufeff" + [names, ...cells].map((row) => row.map(csvField).join(",") + "\r\n").join("");
}

// Returns the text of a cell and the numbers of its error, at most two.
function numbersOf(cell) {
  const error = cell.querySelector("span.error");
  if (!error) return [words(cell)];
  const value = words(cell).slice(0, -words(error).length).trim();
  return [value, ...(words(error).match(/[−+-]?[\d.,]*\d/g) || [])].slice(0, 3);
}

function csvField(text) {
  const plain = text.replace(/−/g, "-");
  if (/^[-+]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?(e[-+]?\d+)?$/i.test(plain))
    return plain.replace(/,/g, "").replace(/^\+/, "");
  if (plain === DASH) return "";
  // A spreadsheet must not take a model's words for a formula.
  const safe = /^[=+\-@\t\r]/.test(plain) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

const TEX = {
  "\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}", "<": "$<$",
  ">": "$>$", "|": "$|$", "[": "{[}", "]": "{]}", "*": "{*}", '"': "''", "±": "$\\pm$",
  "−": "$-$", "–": "--", "—": "---", "→": "$\\to$", "Δ": "$\\Delta$", "‖": "$\\Vert$",
  "α": "$\\alpha$", "β": "$\\beta$", "×": "$\\times$", "≈": "$\\approx$", "·": "$\\cdot$",
  "…": "\\ldots{}", "≤": "$\\le$", "≥": "$\\ge$", "°": "$^\\circ$", "✓": "$+$", "✗": "$-$",
  "’": "'", "‘": "`", "“": "``", "”": "''", "\u00a0": "~",
};

// Escapes text for LaTeX without packages; letters it has no sign for are given by their number.
function tex(text) {
  return [...text].map((sign) => {
    if (TEX[sign]) return TEX[sign];
    if (/[%&_#${}]/.test(sign)) return `\\${sign}`;
    if (sign < " ") return " ";
    if (sign < "\u007f" || /[À-ÖØ-öø-ÿ]/.test(sign)) return sign;
    return `{\\ttfamily U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}}`;
  }).join("");
}

// A tabular; \toprule and its like are those of booktabs where the document loads it.
function latex(table) {
  const size = headRows(table);
  const line = (row) => `${row.join(" & ")} \\\\`;
  const lines = [...table.rows].map((row) => line([...row.cells].map((cell) => {
    const text = tex(words(cell));
    return cell.colSpan > 1 ? `\\multicolumn{${cell.colSpan}}{c}{${text}}` : text;
  })));
  const width = matrix(table)[0].length;
  const totals = table.tBodies.length > 1 ? lines.length - table.tBodies[1].rows.length : -1;
  return [
    "\\providecommand{\\toprule}{\\hline}", "\\providecommand{\\midrule}{\\hline}",
    "\\providecommand{\\bottomrule}{\\hline}", `\\begin{tabular}{l${"r".repeat(width - 1)}}`, "\\toprule",
    ...lines.flatMap((text, at) => (at === size || at === totals ? ["\\midrule", text] : [text])),
    "\\bottomrule", "\\end{tabular}", "",
  ].join("\n");
}

function markdown(table) {
  const size = headRows(table);
  const rows = matrix(table).map((row) =>
    row.map((text) => (text || "").replace(/[\\`*_<|~]/g, "\\$&")));
  const heads = rows.slice(0, size);
  const head = heads.at(-1).map((text, column) => {
    let over = column; // the heading above, which may begin further left
    if (size > 1) while (over > 0 && matrix(table)[0][over] === null) over -= 1;
    const above = size > 1 ? heads[0][over] : "";
    return above ? `${above}: ${text}` : text;
  });
  const rule = head.map((_, column) => (column ? "---:" : ":---"));
  return [head, rule, ...rows.slice(size)].map((row) => `| ${row.join(" | ")} |\n`).join("");
}

const PAINT = [
  "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity",
  "font-size", "font-weight", "font-family", "paint-order",
];

// Returns a figure with its styles as attributes, in light colours, whatever the page's theme.
function standalone(svg) {
  const copy = svg.cloneNode(true);
  const [, , width, height] = copy.getAttribute("viewBox").split(" ").map(Number);
  const stage = make("div", { class: "light stage" }, copy);
  document.body.append(stage);
  for (const node of copy.querySelectorAll("*")) {
    const style = getComputedStyle(node);
    if (node.tagName === "title") continue;
    for (const name of PAINT) node.setAttribute(name, style.getPropertyValue(name));
  }
  const paper = getComputedStyle(stage).backgroundColor;
  stage.remove();
  for (const node of copy.querySelectorAll("[class]")) node.removeAttribute("class");
  copy.removeAttribute("class");
  copy.prepend(draw("rect", { x: -8, y: -8, width: width + 16, height: height + 16, fill: paper }));
  copy.setAttribute("viewBox", `-8 -8 ${width + 16} ${height + 16}`);
  copy.setAttribute("width", width + 16);
  copy.setAttribute("height", height + 16);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
}

function save(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const FORMATS = [
  ["CSV", "csv", "text/csv", csv], ["LaTeX", "tex", "application/x-tex", latex],
  ["Markdown", "md", "text/markdown", markdown],
];

// Returns buttons that save a table, which `table()` returns as it is at that moment.
function tableButtons(title, table) {
  return FORMATS.map(([label, suffix, type, write]) =>
    saveButton(title, label, () => save(fileName(title, suffix), write(table()), type)));
}

function saveButton(title, label, click) {
  return make("button", { type: "button", "aria-label": `save ${title} as ${label}`, click }, label);
}

function fileName(title, suffix) {
  const plain = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return `${plain || "table"}.${suffix}`;
}

for (const figure of document.querySelectorAll("figure")) {
  const [table, svg] = [figure.querySelector(".scroll > table"), figure.querySelector("svg.chart")];
  const title = words(figure.querySelector("h3"));
  const buttons = table ? tableButtons(title, () => table) : [];
  if (svg)
    buttons.push(saveButton(title, "SVG", () =>
      save(fileName(title, "svg"), standalone(svg), "image/svg+xml")));
  if (buttons.length) figure.querySelector("h3").after(make("p", { class: "saves" }, buttons));
}
