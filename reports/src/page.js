"use strict";
const runs = JSON.parse(document.getElementById("data").textContent);
const many = runs.length > 1;
const HUES = ["--blue", "--orange"];
const LEFT = 54, RIGHT = 10, BOTTOM = 24;
const SECOND = 1e6;
/** Segments in view beyond which their density is drawn, in cells of that many pixels. */
const DENSE = 6000, CELL = 2;
const MARKS = { dot: 1, bar: 2, triangle: 3.5, cross: 3.5, diamond: 4 };

/* ---- data ---- */

const sum = (list) => { let total = 0; return Float64Array.from(list, (step) => (total += step)); };
const curve = (raw) => ({ t: sum(raw.t), v: Float64Array.from(raw.v) });
const marks = (raw) => ({ t: sum(raw.t), v: sum(raw.v), of: raw.of });
for (const run of runs) {
  for (const way of [run.up, run.down]) {
    for (const key of ["queue", "rtt", "srtt", "rto", "flight", "cwnd", "window", "backlog", "capacity"]) way[key] = curve(way[key]);
    way.rebuilt = sum(way.rebuilt);
    for (const cause in way.again) way.again[cause] = sum(way.again[cause]);
    for (const by in way.lost) way.lost[by] = sum(way.lost[by]);
    for (const key of ["sent", "lost", "rebuilt", "acked"]) way.marks[key] = marks(way.marks[key]);
    for (const cause in way.marks.again) way.marks.again[cause] = marks(way.marks.again[cause]);
  }
}
const end = Math.max(SECOND / 100, ...runs.map((run) => run.end));
const view = { from: 0, to: end, hover: null, way: "down", hidden: new Set() };
const useful = (way) => runs.reduce((all, run) => all + run[way].useful.reduce((a, b) => a + b, 0), 0);
view.way = useful("up") > useful("down") ? "up" : "down";

/** The first place in ascending `t` that is not below `at`. */
function place(t, at) {
  let low = 0, high = t.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (t[middle] < at) low = middle + 1; else high = middle;
  }
  return low;
}

/* ---- words ---- */

const short = (value) => {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)} M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)} k`;
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return String(+value.toPrecision(3));
};
const clock = (us, step) => {
  if (step >= SECOND) return `${Math.round(us / SECOND)} s`;
  if (end >= 2 * SECOND) return `${(us / SECOND).toFixed(Math.min(6, Math.max(0, Math.ceil(-Math.log10(step / SECOND)))))} s`;
  return `${+(us / 1e3).toFixed(3)} ms`;
};
const moment = (us) => `${(us / SECOND).toFixed(4)} s`;

/* ---- series: what is drawn, in which colour and shape ---- */

/** Bytes per bin as Mbit/s. */
const rate = (name, bytes, bin, hue, dash) => ({ kind: "rate", name, bins: bytes, bin, hue, dash, unit: "Mbit/s", scale: 8 / 1e6 });
const step = (name, points, hue, unit, more) => ({ kind: "step", name, ...points, hue, unit, scale: 1, ...more });
const dots = (name, points, hue, unit, more) => ({ kind: "dots", name, ...points, hue, unit, scale: 1, shape: "dot", ...more });
const counts = (name, times, hue, shape) => ({ kind: "counts", name, t: times, hue, shape, unit: "per interval" });

/** A hue of its own for each curve of one run; of several runs, each run has one, and its curves differ in dashes. */
const overlay = (curves) => (way) => [{
  series: runs.flatMap((run, index) => curves(run[way], run).map((make, nth) => {
    if (!many) return make;
    return { ...make, hue: HUES[index], dash: [[], [6, 3], [2, 3], [8, 3, 2, 3]][nth % 4], name: `${run.letter} ${make.name}` };
  })).filter((series) => (series.bins || series.t).length),
}];
const each = (curves) => (way) => runs.map((run) => ({ title: many ? `${run.letter}  ${run.label}` : "", series: curves(run[way], run) })).filter((panel) => panel.series.length);
const sessions = (run, way, at) => {
  let found = [0, 0];
  for (const session of run[way].marks.sessions) if (session[1] <= at) found = session;
  return `segment ${at - found[1]}${run[way].marks.sessions.length > 1 ? ` of session ${found[0]}` : ""}`;
};
/** The causes of retransmission that occurred, in their order. */
const causes = (again) => runs[0].causes.filter(({ key }) => again[key]);
const all = (lists) => Float64Array.from(lists.flatMap((list) => [...list])).sort();

const CHARTS = [
  { id: "goodput", title: "Goodput", unit: "Mbit/s", panels: overlay((way, run) => [
    { ...rate("read by the applications", way.useful, run.bin, "--blue"), fill: !many },
    rate("on the wire", way.wire, run.bin, "--grey"),
    ...(many ? [] : [step("rate of the link", way.capacity, "--green", "Mbit/s", { scale: 1e-6, reference: true, dash: [6, 3] })]),
  ]) },
  { id: "queue", title: "Queue of the link", unit: "kB waiting", panels: overlay((way) => [
    step("waiting", way.queue, "--blue", "kB", { scale: 1e-3, fill: !many }),
  ]) },
  { id: "rtt", title: "Round trip and timeout", unit: "ms", panels: overlay((way) => [
    ...(many ? [] : [dots("measured", way.rtt, "--grey", "ms")]),
    step("smoothed (srtt)", way.srtt, "--blue", "ms"),
    step("timeout (rto)", way.rto, "--orange", "ms"),
  ]) },
  { id: "windows", title: "Windows of the sender", unit: "segments", panels: overlay((way, run) => [
    step("in flight", way.flight, "--blue", "segments"),
    step("waiting to be sent", way.backlog, "--violet", "segments"),
    ...(run.nc ? [] : [step("congestion window", way.cwnd, "--orange", "segments")]),
    ...(many ? [] : [step("peer's window", way.window, "--green", "segments", { reference: true })]),
  ]) },
  { id: "events", title: "Losses and repairs", unit: "per interval", panels: each((way) => [
    counts("lost", all(Object.values(way.lost)), "--red", "cross"),
    counts("rebuilt by FEC", way.rebuilt, "--green", "diamond"),
    ...causes(way.again).map(({ key, label, hue }) => counts(label, way.again[key], hue, "triangle")),
  ].filter((series) => series.t.length)) },
  { id: "latency", title: "Latency", curve: true, log: true, panels: (way) => [{
    series: runs.flatMap((run, index) => run[way].latency.map((one, nth) => ({
      kind: "quantiles", name: `${many ? `${run.letter} ` : ""}${one.work || "streams"}${one.whole ? "" : ", bytes"}`, t: one.q.map(nines), v: one.v, count: one.count,
      hue: many ? HUES[index] : ["--blue", "--orange", "--green", "--violet", "--grey"][nth % 5],
      dash: many ? [[], [6, 3], [2, 3], [8, 3, 2, 3]][nth % 4] : [], unit: "ms", scale: 1e-3,
    }))),
  }] },
  { id: "sequence", title: "Segments", unit: "sequence number over time", wide: true, sequence: true, panels: each((way, run) => [
    dots("acknowledged", way.marks.acked, "--grey", "", { shape: "bar" }),
    dots("sent", way.marks.sent, "--blue", "", { shape: "dot" }),
    ...causes(way.marks.again).map(({ key, label, hue }) => dots(label, way.marks.again[key], hue, "", { shape: "triangle" })),
    dots("lost", way.marks.lost, "--red", "", { shape: "cross" }),
    dots("rebuilt by FEC", way.marks.rebuilt, "--green", "", { shape: "diamond" }),
  ].filter((series) => series.t.length > 0).map((series) => ({ ...series, run }))) },
];
function nines(share) { return -Math.log10(Math.max(1 - share, 1e-9)); }

/* ---- drawing ---- */

const css = getComputedStyle(document.documentElement);
const colour = (name) => css.getPropertyValue(name).trim();

function shape(ctx, kind, x, y, size) {
  if (kind === "dot") return ctx.fillRect(x - size, y - size, 2 * size, 2 * size);
  if (kind === "bar") return ctx.fillRect(x - size, y - .5, 2 * size, 1);
  ctx.beginPath();
  if (kind === "cross") {
    ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y + size); ctx.moveTo(x + size, y - size); ctx.lineTo(x - size, y + size);
    return ctx.stroke();
  }
  if (kind === "triangle") { ctx.moveTo(x, y - size); ctx.lineTo(x + size, y + size); ctx.lineTo(x - size, y + size); }
  else { ctx.moveTo(x, y - size); ctx.lineTo(x + size, y); ctx.lineTo(x, y + size); ctx.lineTo(x - size, y); }
  ctx.closePath(); ctx.fill();
}

function steps(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  return [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * .999) || power;
}

/** Round levels of a logarithmic axis: 1, 2 and 5 of each decade, or the decades alone when there are many. */
function decades(low, high) {
  const factors = Math.log10(high / low) > 2.5 ? [1] : [1, 2, 5], levels = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const factor of factors) {
      const level = factor * 10 ** power;
      if (level >= low && level <= high) levels.push(level);
    }
  }
  return levels;
}

class Panel {
  constructor(chart, holder, title) {
    Object.assign(this, { chart, holder, series: [], top: title ? 24 : 10 });
    holder.className = "panel";
    if (title) holder.append(Object.assign(document.createElement("h3"), { textContent: title }));
    this.base = document.createElement("canvas");
    this.base.setAttribute("aria-hidden", "true");
    this.over = document.createElement("canvas");
    this.over.className = "over";
    this.over.tabIndex = 0;
    this.over.setAttribute("role", "img");
    holder.append(this.base, this.over);
    listen(this);
  }

  /** Domain of x: the view, or the shares of the percentile curve. */
  domain() {
    if (!this.chart.curve) return [view.from, view.to];
    return [0, Math.max(1, ...this.series.map((series) => series.t[series.t.length - 1] || 0))];
  }
  x(t) { const [from, to] = this.domain(); return LEFT + (t - from) / (to - from) * this.inner; }
  t(x) { const [from, to] = this.domain(); return from + (x - LEFT) / this.inner * (to - from); }
  y(v) {
    const at = this.chart.log ? (v) => Math.log10(Math.max(v, this.low)) : (v) => v;
    return this.top + (1 - (at(v) - at(this.low)) / (at(this.high) - at(this.low))) * this.depth;
  }

  draw() {
    const { width, height } = this.holder.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.base, this.over]) { canvas.width = width * ratio; canvas.height = height * ratio; }
    Object.assign(this, { width, height, ratio, inner: width - LEFT - RIGHT, depth: height - this.top - BOTTOM });
    const ctx = this.base.getContext("2d");
    ctx.scale(ratio, ratio);
    const shown = this.series.filter((series) => !view.hidden.has(this.chart.id + series.name));
    this.dense = this.chart.sequence && this.series.reduce((all, { t }) => all + place(t, view.to) - place(t, view.from), 0) > DENSE;
    const drawn = shown.map((series) => prepared(this, series));
    this.range(drawn);
    this.faults(ctx);
    this.axes(ctx);
    ctx.save();
    ctx.beginPath(); ctx.rect(LEFT, this.top - 4, this.inner, this.depth + 8); ctx.clip();
    if (this.series.some((series) => series.kind === "counts")) {
      this.stack(ctx, drawn);
      // The columns are as long as the view allows.
      const wide = (view.to - view.from) / columns(this, drawn).length;
      document.getElementById(this.chart.id).querySelector("small").textContent = `per ${clock(wide, 1000)}`;
    } else drawn.forEach((one) => this.plot(ctx, one));
    ctx.restore();
    if (this.chart.sequence) {
      document.getElementById(this.chart.id).querySelector("small").textContent = this.dense
        ? "relative to the highest acknowledged one; zoom in for sequence numbers" : "sequence number over time";
    }
    this.drawn = drawn;
    this.over.setAttribute("aria-label", summary(this.chart, drawn));
    this.mark();
  }

  range(drawn) {
    let low = Infinity, high = -Infinity;
    if (this.series.some((series) => series.kind === "counts")) {
      low = 0; high = Math.max(1, ...columns(this, drawn).map((column) => column.reduce((a, b) => a + b, 0)));
    } else {
      for (const one of drawn) {
        // What is far above the rest would flatten it; pointing at the chart still tells it.
        if (one.series.reference && Math.min(...one.v) > 4 * high) continue;
        for (const v of one.v) { if (v < low) low = v; if (v > high) high = v; }
      }
    }
    if (!(high > -Infinity)) { low = 0; high = 1; }
    if (this.chart.log) {
      const least = Math.min(...drawn.flatMap(({ v }) => v.filter((v) => v > 0)));
      this.low = Number.isFinite(least) ? least / 1.2 : .1;
      this.high = Math.max(high * 1.2, this.low * 10);
      return;
    }
    if (!this.chart.sequence) low = 0;
    const margin = (high - low || 1) * .06;
    this.low = this.chart.sequence ? low - margin : 0;
    this.high = high + margin;
  }

  axes(ctx) {
    ctx.font = `11px ${css.fontFamily || "system-ui, sans-serif"}`;
    ctx.fillStyle = colour("--muted");
    ctx.strokeStyle = colour("--grid");
    ctx.lineWidth = 1;
    ctx.textAlign = "right"; ctx.textBaseline = "middle";
    const whole = this.chart.sequence || this.series.some((series) => series.kind === "counts");
    const size = Math.max(whole ? 1 : 0, steps(this.low, this.high, this.depth / 42));
    const levels = [];
    if (this.chart.log) levels.push(...decades(this.low, this.high));
    else for (let v = Math.ceil(this.low / size) * size; v <= this.high; v += size) levels.push(v);
    for (const v of levels) {
      const y = Math.round(this.y(v)) + .5;
      ctx.beginPath(); ctx.moveTo(LEFT, y); ctx.lineTo(LEFT + this.inner, y); ctx.stroke();
      if (v >= 0 || this.dense) ctx.fillText(short(+v.toPrecision(6)), LEFT - 7, y);
    }
    ctx.textAlign = "center"; ctx.textBaseline = "top";
    let taken = -Infinity;
    const label = (t, text) => {
      const x = Math.round(this.x(t)) + .5;
      ctx.beginPath(); ctx.moveTo(x, this.top + this.depth); ctx.lineTo(x, this.top + this.depth + 4); ctx.stroke();
      const half = ctx.measureText(text).width / 2;
      const middle = Math.min(Math.max(x, half), this.width - half - 1);
      if (middle - half < taken + 6) return;
      taken = middle + half;
      ctx.fillText(text, middle, this.top + this.depth + 8);
    };
    ctx.strokeStyle = colour("--rule");
    ctx.beginPath(); ctx.moveTo(LEFT, this.top + this.depth + .5); ctx.lineTo(LEFT + this.inner, this.top + this.depth + .5); ctx.stroke();
    const [from, to] = this.domain();
    if (this.chart.curve) {
      const shares = [0, .5, .9, .99, .999, .9999, .99999].filter((share) => nines(share) <= to + 1e-9);
      return shares.forEach((share) => label(nines(share), share ? `${+(share * 100).toFixed(3)} %` : "fastest"));
    }
    const gap = steps(from, to, this.inner / 95);
    for (let t = Math.ceil(from / gap) * gap; t <= to; t += gap) label(t, clock(t, gap));
  }

  faults(ctx) {
    if (this.chart.curve) return;
    ctx.strokeStyle = colour("--rule"); ctx.lineWidth = 1; ctx.setLineDash([2, 3]);
    for (const run of runs) for (const [at] of run.changes) {
      const x = Math.round(this.x(at)) + .5;
      if (x < LEFT || x > LEFT + this.inner) continue;
      ctx.beginPath(); ctx.moveTo(x, this.top); ctx.lineTo(x, this.top + this.depth); ctx.stroke();
    }
    ctx.setLineDash([]);
    ctx.fillStyle = colour("--fault");
    for (const run of runs) for (const [from, until] of run.faults) {
      const x = Math.max(LEFT, this.x(from)), to = Math.min(LEFT + this.inner, Math.max(this.x(until), this.x(from) + 2));
      if (to > x) ctx.fillRect(x, this.top, to - x, this.depth);
    }
  }

  plot(ctx, { series, t, v }) {
    ctx.strokeStyle = ctx.fillStyle = colour(series.hue);
    ctx.lineJoin = "round";
    if (this.dense) return this.density(ctx, t, v);
    if (series.kind === "dots") {
      ctx.lineWidth = 1.4;
      ctx.globalAlpha = series.shape === "dot" && t.length > 3000 ? .6 : 1;
      const size = MARKS[series.shape] * (t.length < 600 && series.shape !== "dot" || t.length < 200 ? 1.5 : 1);
      for (let i = 0; i < t.length; i++) shape(ctx, series.shape, this.x(t[i]), this.y(v[i]), size);
      ctx.globalAlpha = 1;
      return;
    }
    ctx.lineWidth = 1.5;
    ctx.setLineDash(series.dash || []);
    ctx.beginPath();
    for (let i = 0; i < t.length; i++) {
      const x = this.x(t[i]), y = this.y(v[i]);
      if (i === 0) ctx.moveTo(x, y);
      else if (series.kind !== "quantiles") { ctx.lineTo(x, this.y(v[i - 1])); ctx.lineTo(x, y); }
      else ctx.lineTo(x, y);
    }
    ctx.stroke();
    ctx.setLineDash([]);
    if (series.fill && t.length) {
      ctx.lineTo(this.x(t[t.length - 1]), this.y(0)); ctx.lineTo(this.x(t[0]), this.y(0));
      ctx.globalAlpha = .12; ctx.fill(); ctx.globalAlpha = 1;
    }
  }

  /** So many marks that they would cover each other: the more in a cell, the stronger its colour. Few of a kind stay visible. */
  density(ctx, t, v) {
    const cells = new Map();
    let most = 1;
    for (let i = 0; i < t.length; i++) {
      const key = Math.floor(this.x(t[i]) / CELL) * 65536 + Math.floor(this.y(v[i]) / CELL), count = (cells.get(key) || 0) + 1;
      cells.set(key, count);
      if (count > most) most = count;
    }
    for (const [key, count] of cells) {
      ctx.globalAlpha = t.length < DENSE / 4 ? .9 : .15 + .85 * Math.log(count + 1) / Math.log(most + 1);
      ctx.fillRect(Math.floor(key / 65536) * CELL, key % 65536 * CELL, CELL, CELL);
    }
    ctx.globalAlpha = 1;
  }

  stack(ctx, drawn) {
    const columnsOf = columns(this, drawn), wide = this.inner / columnsOf.length;
    columnsOf.forEach((column, at) => {
      let below = 0;
      column.forEach((count, nth) => {
        if (!count) return;
        const top = this.y(below + count), x = LEFT + at * wide;
        ctx.fillStyle = colour(drawn[nth].series.hue);
        ctx.fillRect(x, top, Math.max(1, wide - 1), this.y(below) - top);
        below += count;
      });
    });
  }

  /** What lies above the drawing: where the pointer is, and what is being selected. */
  mark() {
    const ctx = this.over.getContext("2d");
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    ctx.clearRect(0, 0, this.width, this.height);
    if (this.from !== undefined) {
      ctx.fillStyle = colour("--blue"); ctx.globalAlpha = .15;
      ctx.fillRect(Math.min(this.from, this.until), this.top, Math.abs(this.until - this.from), this.depth);
      ctx.globalAlpha = 1;
    }
    const at = this.chart.curve ? this.share : view.hover;
    if (at == null) return;
    const x = Math.round(this.x(at)) + .5;
    if (x < LEFT || x > LEFT + this.inner) return;
    ctx.strokeStyle = colour("--muted"); ctx.lineWidth = 1;
    ctx.beginPath(); ctx.moveTo(x, this.top); ctx.lineTo(x, this.top + this.depth); ctx.stroke();
    if (this.near) { ctx.strokeStyle = colour("--ink"); ctx.strokeRect(this.x(this.near.t) - 6, this.y(this.near.v) - 6, 12, 12); }
  }
}

/** A series as far as it is seen, with as many points as pixels can show. */
function prepared(panel, series) {
  const [from, to] = panel.domain();
  if (series.kind === "rate") return rates(panel, series, from, to);
  if (series.kind === "counts") return { series, t: series.t, v: [] };
  if (series.kind === "quantiles") return { series, t: series.t, v: series.v.map((v) => v * series.scale) };
  let first = place(series.t, from), last = place(series.t, to + 1);
  if (series.kind === "step") { first = Math.max(0, first - 1); }
  const t = Array.from(series.t.subarray(first, last)), v = Array.from(series.v.subarray(first, last), (v) => v * series.scale);
  if (panel.dense) t.forEach((at, i) => { v[i] -= edge(series.run, at); });
  if (series.kind === "step" && t.length) { t.push(Math.min(to, Math.max(series.t[series.t.length - 1], t[t.length - 1]))); v.push(v[v.length - 1]); }
  return { series, t, v };
}

/** The highest segment acknowledged until then. */
function edge(run, at) {
  const { acked } = run[view.way].marks;
  if (!acked.highest) {
    let high = 0;
    acked.highest = acked.v.map((v) => (high = Math.max(high, v)));
  }
  return acked.highest[place(acked.t, at + 1) - 1] ?? 0;
}

/** Bins of a rate, joined until few enough are seen. */
function rates(panel, series, from, to) {
  const join = Math.max(1, Math.ceil((to - from) / series.bin / Math.max(40, panel.inner / 5))), wide = join * series.bin;
  const t = [], v = [];
  for (let at = Math.max(0, Math.floor(from / wide) - 1); at * wide <= to && at * join < series.bins.length; at++) {
    let bytes = 0;
    for (let i = at * join; i < (at + 1) * join; i++) bytes += series.bins[i] || 0;
    t.push(at * wide); v.push(bytes * series.scale / (wide / SECOND));
  }
  if (t.length) { t.push(t[t.length - 1] + wide); v.push(v[v.length - 1]); }
  return { series, t, v };
}

/** How many of each series fell into each of some sixty intervals. */
function columns(panel, drawn) {
  const [from, to] = panel.domain(), count = Math.max(20, Math.min(80, Math.round(panel.inner / 9)));
  return Array.from({ length: count }, (_, at) => {
    const bound = (nth) => from + (to - from) * nth / count;
    return drawn.map(({ t }) => place(t, bound(at + 1)) - place(t, bound(at)));
  });
}

function summary(chart, drawn) {
  const parts = drawn.map(({ series, t, v }) => {
    if (series.kind === "counts" || chart.sequence) return `${series.name} ${series.of ?? t.length}`;
    const peak = v.reduce((a, b) => Math.max(a, b), 0);
    return `${series.name} up to ${short(peak)} ${series.unit}`;
  });
  return `${chart.title}, ${view.way}: ${parts.join(", ")}`;
}

/* ---- pointing, zooming ---- */

const tip = document.getElementById("tip");
const row = (hue, name, value) => `<div><i><svg width="10" height="10" aria-hidden="true"><rect width="10" height="10" rx="2" fill="${colour(hue)}"/></svg> ${escaped(name)}</i><span>${value}</span></div>`;
const escaped = (text) => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);

/** The mark nearest to a point. */
function nearest(panel, x, y) {
  let best = null, least = 14 ** 2;
  for (const { series, t, v } of panel.drawn) {
    for (let i = place(t, panel.t(x - 14)); i < t.length && panel.x(t[i]) <= x + 14; i++) {
      const far = (panel.x(t[i]) - x) ** 2 + (panel.y(v[i]) - y) ** 2;
      if (far <= least) { least = far; best = { series, t: t[i], v: v[i] }; }
    }
  }
  return best;
}

function tell(panel, x, y) {
  const { chart, drawn } = panel, at = panel.t(x);
  if (chart.sequence) {
    panel.near = nearest(panel, x, y);
    if (!panel.near) return `<b>${moment(at)}</b>`;
    const { series, t, v } = panel.near;
    const number = panel.dense ? v + edge(series.run, t) : v;
    return `<b>${moment(t)}</b>${row(series.hue, sessions(series.run, view.way, number), series.name)}`;
  }
  if (chart.curve) {
    const share = 1 - 10 ** -at;
    return `<b>${(share * 100).toFixed(share > .99 ? 3 : 1)} % are faster than</b>` + drawn.map(({ series, t, v }) =>
      row(series.hue, series.name, `${short(v[Math.min(v.length - 1, place(t, at))])} ms`)).join("");
  }
  if (drawn.some(({ series }) => series.kind === "counts")) {
    const list = columns(panel, drawn), nth = Math.min(list.length - 1, Math.max(0, Math.floor((x - LEFT) / panel.inner * list.length)));
    const wide = (view.to - view.from) / list.length;
    return `<b>${moment(view.from + nth * wide)} + ${clock(wide, 1000)}</b>` + drawn.map(({ series }, i) => row(series.hue, series.name, list[nth][i])).join("");
  }
  return `<b>${moment(at)}</b>` + drawn.map(({ series, t, v }) => {
    const index = series.kind === "dots" ? place(t, at) : place(t, at + 1) - 1;
    const value = v[Math.min(Math.max(0, index), v.length - 1)];
    return value === undefined ? "" : row(series.hue, series.name, `${short(value)} ${series.unit}`);
  }).join("");
}

function hover(panel, event) {
  const box = panel.over.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const inside = x >= LEFT && x <= LEFT + panel.inner;
  view.hover = inside && !panel.chart.curve ? panel.t(x) : null;
  panel.share = inside && panel.chart.curve ? panel.t(x) : null;
  if (panel.from !== undefined) panel.until = Math.min(Math.max(x, LEFT), LEFT + panel.inner);
  tip.style.display = inside ? "block" : "none";
  if (inside) {
    tip.innerHTML = tell(panel, x, y);
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 16, innerWidth - width - 8))}px`;
    tip.style.top = `${event.clientY + height + 24 > innerHeight ? event.clientY - height - 12 : event.clientY + 16}px`;
  }
  panels.forEach((one) => { if (one !== panel) one.near = null; one.mark(); });
}

function zoom(from, to) {
  const least = 1000, wide = Math.min(end, Math.max(least, to - from));
  view.from = Math.max(0, Math.min(from, end - wide));
  view.to = view.from + wide;
  redraw();
}

function zoomAt(middle, factor) {
  zoom(middle - (middle - view.from) * factor, middle + (view.to - middle) * factor);
}

function listen(panel) {
  const { over, chart } = panel;
  over.addEventListener("pointermove", (event) => hover(panel, event));
  over.addEventListener("pointerleave", () => {
    view.hover = null; panel.share = null; panel.near = null; tip.style.display = "none";
    panels.forEach((one) => one.mark());
  });
  if (chart.curve) return;
  over.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    over.setPointerCapture(event.pointerId);
    panel.from = panel.until = event.clientX - over.getBoundingClientRect().left;
  });
  over.addEventListener("pointercancel", () => { panel.from = undefined; panel.mark(); });
  over.addEventListener("pointerup", () => {
    const { from, until } = panel;
    panel.from = undefined;
    if (from === undefined || Math.abs(until - from) < 5) return panel.mark();
    zoom(panel.t(Math.min(from, until)), panel.t(Math.max(from, until)));
  });
  over.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey && !event.metaKey) return;
    event.preventDefault();
    const turn = event.deltaY || event.deltaX;
    zoomAt(panel.t(event.clientX - over.getBoundingClientRect().left), turn > 0 ? 1.25 : .8);
  }, { passive: false });
  over.addEventListener("dblclick", () => zoom(0, end));
  over.addEventListener("keydown", (event) => {
    const wide = view.to - view.from, middle = (view.from + view.to) / 2;
    const keys = {
      ArrowLeft: () => zoom(view.from - wide / 5, view.to - wide / 5), ArrowRight: () => zoom(view.from + wide / 5, view.to + wide / 5),
      "+": () => zoomAt(middle, .7), "=": () => zoomAt(middle, .7), "-": () => zoomAt(middle, 1.4), 0: () => zoom(0, end), Escape: () => zoom(0, end),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

/* ---- the page ---- */

let panels = [];

function legend(chart, list) {
  const box = document.getElementById(chart.id).querySelector(".legend");
  const names = new Map(list.flatMap((panel) => panel.series).map((series) => [series.name, series]));
  box.replaceChildren(...[...names.values()].map((series) => {
    const button = document.createElement("button"), key = chart.id + series.name;
    const dash = (series.dash || []).join(" ");
    const sign = { cross: '<path d="M4 1l8 8M12 1l-8 8" stroke-width="2"/>', triangle: '<path d="M8 1l4 8h-8z" fill="currentColor"/>', diamond: '<path d="M8 0l5 5-5 5-5-5z" fill="currentColor"/>', dot: '<circle cx="8" cy="5" r="2.5" fill="currentColor"/>' }[series.shape];
    button.type = "button";
    button.innerHTML = `<svg width="16" height="10" fill="none" stroke="currentColor" style="color:${colour(series.hue)}" aria-hidden="true">${sign || `<path d="M0 5h16" stroke-width="2" stroke-dasharray="${dash}"/>`}</svg>${escaped(series.name)}`;
    button.setAttribute("aria-pressed", String(!view.hidden.has(key)));
    button.addEventListener("click", () => {
      if (!view.hidden.delete(key)) view.hidden.add(key);
      button.setAttribute("aria-pressed", String(!view.hidden.has(key)));
      panels.filter((panel) => panel.chart === chart).forEach((panel) => panel.draw());
    });
    return button;
  }));
}

/** What a thinned plot leaves out, said below it. */
function note(chart, list) {
  const thinned = list.flatMap((panel) => panel.series).filter((series) => series.of && series.of > series.t.length);
  const words = thinned.map((series) => `${series.name}: ${series.t.length.toLocaleString("en")} of ${series.of.toLocaleString("en")} are shown`);
  if (chart.id === "events") {
    for (const run of runs) {
      const lost = Object.entries(run[view.way].lost).map(([by, times]) => `${times.length.toLocaleString("en")} by ${by.replaceAll("_", " ")}`);
      if (lost.length) words.push(`${many ? `${run.letter} lost` : "Lost"}: ${lost.join(", ")}`);
    }
  }
  if (!list.some((panel) => panel.series.length)) words.push("Nothing of this was recorded in this direction.");
  document.getElementById(chart.id).querySelector(".note").textContent = words.join("; ");
}

function build() {
  panels = [];
  for (const chart of CHARTS) {
    const recorded = ["down", "up"].some((way) => chart.panels(way).some((panel) => panel.series.some((series) => !series.reference)));
    // What this kind of run does not record.
    document.getElementById(chart.id).hidden = !recorded;
    if (!recorded) continue;
    const holder = document.getElementById(chart.id).querySelector(".panels"), list = [];
    holder.replaceChildren();
    for (const { title, series } of chart.panels(view.way)) {
      const box = document.createElement("div");
      holder.append(box);
      const panel = new Panel(chart, box, title);
      panel.series = series;
      list.push(panel);
    }
    legend(chart, list);
    note(chart, list);
    panels.push(...list);
  }
  redraw();
}

function redraw() {
  panels.forEach((panel) => panel.draw());
  const whole = view.from === 0 && view.to === end;
  document.getElementById("seen").textContent = whole ? `${(end / SECOND).toFixed(2)} s` : `${moment(view.from)} to ${moment(view.to)}`;
  document.getElementById("reset").disabled = whole;
}

/** Faults and changes of the links in words; of many, the first. */
const LISTED = 20;
const happened = runs.flatMap((run) => {
  const whose = many ? `${run.letter} ` : "";
  const faults = run.faults.map(([from, until, kind]) => {
    const when = until > from ? `${moment(from)} to ${moment(until)}` : `at ${moment(from)}`;
    return `${whose}${kind.replaceAll("_", " ")}, ${when}`;
  });
  return [...faults, ...run.changes.map(([at, words]) => `${whose}${moment(at)} ${words}`)];
});
document.getElementById("faults").textContent = happened.slice(0, LISTED).join("; ")
  + (happened.length > LISTED ? `; and ${happened.length - LISTED} more` : "");
for (const radio of document.querySelectorAll("input[name=way]")) {
  radio.checked = radio.value === view.way;
  radio.addEventListener("change", () => { view.way = radio.value; build(); });
}
document.getElementById("reset").addEventListener("click", () => zoom(0, end));
document.getElementById("closer").addEventListener("click", () => zoomAt((view.from + view.to) / 2, .5));
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
build();
document.documentElement.dataset.drawn = String(panels.length);
