"use strict";
const { verdicts, runs, probes, requirements } = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** An element with a class, children (elements or text) and attributes. */
function element(tag, name, children, attributes) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  for (const child of [children ?? []].flat()) made.append(child);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  return made;
}
const row = (tag, cells) => element("tr", "", cells.map((cell) => (cell instanceof Element ? cell : element(tag, "", String(cell)))));
function fill(table, head, rows) {
  table.replaceChildren(element("thead", "", row("th", head)), element("tbody", "", rows));
}

const PARAMETERS = ["group", "work", "path", "crypt", "fec", "mode", "mtu", "smux", "comp", "conn", "direction", "tcp"];
const ENDINGS = ["clean", "reset", "leak", "timeout"];
let run = runs[0];
const chosen = new Map();

const pairing = (cell) => `${cell.client} → ${cell.server}`;
const ending = (cell) => cell.runs.map((one) => one.ending).filter(Boolean).sort((a, b) => ENDINGS.indexOf(b) - ENDINGS.indexOf(a))[0] ?? "";
const name = (verdict) => verdicts.find(([key]) => key === verdict)[1];
const parameter = (facts, key) => (key === "group" ? facts.group : facts.parameters[key]);

function select(label, key, values) {
  const options = ["", ...values].map((value) => element("option", "", value || "all", { value }));
  const made = element("select", "", options, { "data-key": key, "aria-label": label });
  made.value = values.includes(chosen.get(key)) ? chosen.get(key) : "";
  made.addEventListener("change", () => { chosen.set(key, made.value); grid(); });
  return element("label", "", [label, made]);
}

function filters() {
  const distinct = (of) => [...new Set(run.cases.map(of))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const selects = PARAMETERS.map((key) => [key, distinct((facts) => parameter(facts, key))]).filter(([, values]) => values.length > 1);
  const search = element("input", "", [], { type: "search", placeholder: "Name of the case", "aria-label": "Name of the case", id: "text" });
  search.value = chosen.get("text") ?? "";
  search.addEventListener("input", () => { chosen.set("text", search.value); grid(); });
  byId("filters").replaceChildren(
    element("label", "", ["case", search]),
    select("verdict", "verdict", verdicts.map(([, label]) => label)),
    select("ending", "ending", ENDINGS),
    ...selects.map(([key, values]) => select(key, key, values)),
  );
}

function grid() {
  const wanted = (key) => chosen.get(key) || "";
  const text = wanted("text").toLowerCase();
  const matches = (facts) => facts.name.toLowerCase().includes(text)
    && PARAMETERS.every((key) => !wanted(key) || parameter(facts, key) === wanted(key));
  const suits = (cell) => (!wanted("verdict") || name(cell.verdict) === wanted("verdict")) && (!wanted("ending") || ending(cell) === wanted("ending"));
  const columns = [...new Set(run.cells.map(pairing))];
  const cells = new Map(run.cells.map((cell) => [`${cell.case}\n${pairing(cell)}`, cell]));
  let shown = 0;
  const rows = [];
  for (const facts of run.cases.filter(matches)) {
    const own = columns.map((column) => cells.get(`${facts.name}\n${column}`));
    if (!own.some((cell) => cell && suits(cell))) continue;
    shown += own.filter((cell) => cell && suits(cell)).length;
    const boxes = own.map((cell) => element("td", "", cell && suits(cell) ? [badge(cell)] : []));
    rows.push(element("tr", "", [element("th", "", facts.name, { scope: "row", title: facts.about }), ...boxes]));
  }
  fill(byId("grid"), ["case", ...columns], rows);
  byId("seen").textContent = `${shown} of ${run.cells.length} cells`;
}

function badge(cell) {
  const how = ending(cell);
  const parts = [name(cell.verdict), ...(how && how !== "clean" ? [element("i", "", how)] : [])];
  const made = element("button", `verdict ${cell.verdict}`, parts, { type: "button" });
  made.setAttribute("aria-label", `${cell.case}, ${pairing(cell)}: ${name(cell.verdict)} ${how}`);
  made.addEventListener("click", () => detail(cell));
  return made;
}

function detail(cell) {
  const facts = run.cases.find((facts) => facts.name === cell.case);
  const control = run.cells.find((other) => other.case === cell.case && other.client === run.reference && other.server === run.reference);
  const runLine = (one) => [
    `${name(one.verdict)}${one.ending ? `, ${one.ending}` : ""}, ${one.elapsed_ms} ms, ${one.bytes} bytes`,
    one.relay ? `, ${one.relay[1]} of ${one.relay[0]} datagrams dropped` : "", one.why ? `\n${one.why}` : ""].join("");
  const programs = run.programs.filter((one) => (one.role === "client" ? cell.client : cell.server) === one.name);
  const block = (title, text) => (text ? [element("h4", "", title), element("pre", "", text)] : []);
  byId("cell").querySelector("div").replaceChildren(
    element("h3", "", cell.case),
    element("p", "", [`${pairing(cell)}: `, element("span", `verdict ${cell.verdict}`, name(cell.verdict)), ` ${facts.about}`]),
    element("p", "note", control ? `Control ${pairing(control)}: ${name(control.observed)}. Observed here: ${name(cell.observed)}.` : "No control."),
    ...block(cell.runs.length > 1 ? `${cell.runs.length} runs` : "Run", cell.runs.map(runLine).join("\n")),
    ...block("Server", cell.commands[0]), ...block("Client", cell.commands[1]),
    ...block("Output of the server", cell.logs[0]), ...block("Output of the client", cell.logs[1]),
    ...block("Programs", programs.map((one) => `${one.role} ${one.path}  ${one.version}\nsha256 ${one.sha256}`).join("\n")),
    ...block("Repeat", cell.replay),
  );
  byId("cell").showModal();
}

function totals() {
  const tiles = [...new Set(run.cells.map(pairing))].map((column) => {
    const own = run.cells.filter((cell) => pairing(cell) === column);
    const count = (verdict) => own.filter((cell) => cell.verdict === verdict).length;
    const parts = verdicts.filter(([key]) => count(key));
    const bars = parts.map(([key]) => element("i", key, [], { style: `flex:${count(key)};background:var(--colour)` }));
    return element("div", "tile", [element("b", "", column), element("div", "share", bars), element("small", "", parts.map(([key, label]) => `${count(key)} ${label}`).join(", "))]);
  });
  byId("totals").replaceChildren(...tiles);
  byId("about").textContent = `${run.title}: ${run.cases.length} cases, reference ${run.reference}, ${run.machine.cpu} with ${run.machine.cores} cores, commit ${run.commit ?? "unknown"}. ${run.command}`;
  byId("legend").replaceChildren(...verdicts.map(([key, label]) => element("span", `verdict ${key}`, label)),
    "A second word names how the streams ended if not cleanly: reset, leak, timeout.");
}

function tables() {
  const table = (id) => byId(id).querySelector("table");
  const fault = (one) => row("td", [one.case, one.fault, element("td", "", element("span", `verdict ${one.caught ? "pass" : "fail"}`, one.caught ? "found" : "missed")), one.run.why ?? ""]);
  fill(table("proofs"), ["case", "fault", "judge", "finding"], run.sabotaged.map(fault));
  fill(table("figures"), ["workload", "client → server", "n", "median, ms", "lowest to highest, ms"],
    run.measured.map((one) => row("td", [one.work, one.pairing.replace("->", "→"), one.n, one.median_ms, `${one.min_ms} to ${one.max_ms}`])));
  fill(table("programs"), ["program", "role", "path", "version", "SHA-256"],
    run.programs.map((one) => row("td", [one.name, one.role, [one.path, ...one.flags].join(" "), one.version, element("td", "hash", one.sha256)])));
}

function checks() {
  const text = byId("check").value.toLowerCase();
  const titles = [...new Set(probes.flatMap((probe) => probe.cases.map((one) => one.title)))];
  const of = (title) => probes.map((probe) => probe.cases.find((one) => one.title === title));
  const shown = titles.filter((title) => {
    const own = of(title).filter(Boolean);
    const matches = [title, ...own.flatMap((one) => one.ids)].join("\n").toLowerCase().includes(text);
    return matches && (!byId("faulty").checked || own.some((one) => ["fail", "error"].includes(one.verdict)));
  });
  const box = (one, probe) => {
    if (!one) return element("td");
    const made = element("button", `verdict ${one.verdict}`, name(one.verdict), { type: "button" });
    made.setAttribute("aria-label", `${one.title}, ${probe.subject}: ${name(one.verdict)}`);
    made.addEventListener("click", () => evidence(one, probe));
    return element("td", "", made);
  };
  const rows = shown.map((title) => {
    const ids = [...new Set(of(title).flatMap((one) => one?.ids ?? []))];
    const head = element("th", "", [title, element("small", "", ` ${ids.join(" ")}`)], { scope: "row" });
    return element("tr", "", [head, ...of(title).map((one, at) => box(one, probes[at]))]);
  });
  fill(byId("probes").querySelector("table"), ["check", ...probes.map((probe) => probe.subject)], rows);
  byId("checks").textContent = `${shown.length} of ${titles.length} checks`;
}

function evidence(one, probe) {
  const rules = one.ids.map((id) => requirements.find((rule) => rule.id === id)).filter(Boolean);
  byId("cell").querySelector("div").replaceChildren(
    element("h3", "", one.title),
    element("p", "", [`${probe.subject}: `, element("span", `verdict ${one.verdict}`, name(one.verdict)), ` ${one.why}`]),
    element("p", "note", `${one.ids.join(", ")}; ${probe.settings}; ${one.ms} ms`),
    ...rules.map((rule) => element("p", "", [element("b", "", rule.id), ` ${rule.text}`])),
    ...(one.datagrams.length ? [element("h4", "", "Last datagrams"), element("pre", "", one.datagrams.join(""))] : []),
  );
  byId("cell").showModal();
}

function rules() {
  const text = byId("rule").value.toLowerCase();
  const shown = requirements.filter((one) => (!byId("untested").checked || !one.tests.length)
    && [one.id, one.text, ...one.tests].join("\n").toLowerCase().includes(text));
  const tests = (one) => (one.tests.length
    ? element("details", "", [element("summary", "", `${one.tests.length} tests`), element("ul", "", one.tests.map((test) => element("li", "", test)))])
    : element("span", "verdict not_measured", "not measured"));
  fill(byId("requirements").querySelector("table"), ["id", "rule", "tests"],
    shown.map((one) => element("tr", "", [element("th", "", one.id, { scope: "row" }), element("td", "", one.text), element("td", "", tests(one))])));
  byId("rules").textContent = `${shown.length} of ${requirements.length} rules`;
}

function show() {
  filters();
  grid();
  totals();
  tables();
}

for (const input of document.querySelectorAll("input[name=run]")) {
  input.addEventListener("change", () => { run = runs[Number(input.value)]; show(); });
}
byId("rule").addEventListener("input", rules);
byId("untested").addEventListener("change", rules);
byId("cell").addEventListener("click", (event) => { if (event.target === byId("cell")) byId("cell").close(); });
byId("check").addEventListener("input", checks);
byId("faulty").addEventListener("change", checks);
byId("requirements").hidden = !requirements.length;
byId("probes").hidden = !probes.length;
for (const part of document.querySelectorAll(".of-run")) part.hidden = !runs.length;
if (runs.length) show();
checks();
rules();
