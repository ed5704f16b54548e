/* SPDX-License-Identifier: Apache-2.0 */
/* Draws the report. Each section draws itself from the cells; what was not measured is not drawn. */
(function () {
"use strict";
var report = JSON.parse(document.getElementById("report").textContent);
var fabrics = report.fabrics, works = report.workloads;
var shapes = {"direct": "circle", "hub-notify": "square", "hub-250ms": "triangle-up", "hub-backoff": "diamond"};
var cells = report.cells.filter(function (c) { return c.ok; });

/* ---- Words ---- */
function title(list, name) { return list.filter(function (x) { return x.name === name; })[0].title; }
function digits(x) { return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x >= 1 ? x.toFixed(2) : x.toPrecision(2); }
function time(us) {
  if (us === null || us === undefined) return "–";
  return us < 1000 ? digits(us) + " µs" : us < 1e6 ? digits(us / 1000) + " ms" : digits(us / 1e6) + " s";
}
function tick(us) { return us < 1000 ? us + " µs" : us < 1e6 ? us / 1000 + " ms" : us / 1e6 + " s"; }
function number(x) {
  if (x === null || x === undefined) return "–";
  return x === 0 ? "0" : x >= 1000 ? d3.format(",.0f")(x) : digits(x);
}
function money(x) { return x === null || x === undefined ? "–" : x >= 0.01 ? x.toFixed(2) : x === 0 ? "0" : x.toPrecision(2); }
function way(c) { return title(fabrics, c.fabric) + (c.hub === "apart" ? ", hub on a node of its own" : "") + (c.start === "cold" ? ", cold" : ""); }
function operations(c) {
  var s = c.per_run ? c.per_run.storage : null;
  return s ? s.enqueue + s.dequeue + s.delete + s.renew + s.empty + s.read + s.write : null;
}
function told(c) {
  return way(c) + "\nn " + c.latency.n + ", p50 " + time(c.latency.p50_us) +
    (c.latency.p99_us !== null ? ", p99 " + time(c.latency.p99_us) : ", no p99 below 100 samples") + ", mean " + time(c.latency.mean_us);
}
function of(work, test) { return cells.filter(function (c) { return c.workload === work && (!test || test(c)); }); }
function is_hot(c) { return c.start === "hot"; }
function is_near(c) { return c.hub !== "apart"; }
/* Where a fabric was measured with its hub on another node only, that is what is shown. */
function shown(work, test) {
  return of(work, function (c) {
    return (!test || test(c)) && (is_near(c) || !of(work, function (o) { return o.fabric === c.fabric && is_near(o); }).length);
  });
}

/* ---- Pictures ---- */
function picture(node, width, height) {
  return d3.select(node).append("svg").attr("viewBox", "0 0 " + width + " " + height).attr("width", width).attr("role", "img");
}
function decades(scale) {
  var d = scale.domain(), ticks = [];
  for (var e = Math.ceil(Math.log(d[0]) / Math.LN10 - 1e-9); Math.pow(10, e) <= d[1] * 1.0001; e++) ticks.push(Math.pow(10, e));
  return ticks;
}
function log_scale(values, from, to) {
  var low = d3.min(values), high = d3.max(values);
  return d3.scale.log().domain([Math.pow(10, Math.floor(Math.log(low) / Math.LN10)), Math.pow(10, Math.ceil(Math.log(high) / Math.LN10 + 1e-9))]).range([from, to]);
}
function bottom(svg, scale, ticks, format, y, length, label, middle) {
  svg.append("g").attr("class", "axis").attr("transform", "translate(0," + y + ")")
    .call(d3.svg.axis().scale(scale).orient("bottom").tickValues(ticks).tickFormat(format).tickSize(-length, 0));
  svg.append("text").attr("class", "small").attr("x", middle).attr("y", y + 30).attr("text-anchor", "middle").text(label);
}
function left(svg, scale, ticks, format, x, length, label) {
  svg.append("g").attr("class", "axis").attr("transform", "translate(" + x + ",0)")
    .call(d3.svg.axis().scale(scale).orient("left").tickValues(ticks).tickFormat(format).tickSize(-length, 0));
  if (label) svg.append("text").attr("class", "small").attr("x", x - 36).attr("y", 8).text(label);
}
function mark(svg, fabric, x, y, size, cold) {
  return svg.append("path").attr("class", "mark " + fabric + (cold ? " cold" : "")).attr("d", d3.svg.symbol().type(shapes[fabric] || "circle").size(size))
    .attr("transform", "translate(" + x + "," + y + ")");
}
function section(id, any) {
  var node = document.getElementById(id);
  if (!any) node.remove();
  return any ? node : null;
}

/* ---- Headline and legend ---- */
(function () {
  var best = ["hello3"].concat(works.map(function (w) { return w.name; })).filter(function (w) { return shown(w, is_hot).length > 1; })[0];
  if (best) {
    var list = shown(best, is_hot), first = list[0];
    document.getElementById("headline").textContent = title(works, best).replace(/^./, function (x) { return x.toUpperCase(); }) + ": " +
      list.map(function (c, i) {
        return title(fabrics, c.fabric) + " " + time(c.latency.p50_us) + (i ? " (" + number(c.latency.p50_us / first.latency.p50_us) + " ×)" : "");
      }).join("; ") + ".";
  }
  document.getElementById("run").textContent = "stead " + report.stead + ", " + report.machine.measured + ", " + report.machine.cores + " cores, " +
    "measured in " + report.seconds + " s" + (report.quick ? " (quick: fewer samples, smaller data, no cold starts)" : "") +
    ". Floors: a round trip of ZeroMQ " + time(report.floors.trip.p50_us) + " (n " + report.floors.trip.n + "), a synced write " + time(report.floors.sync.p50_us) +
    " (n " + report.floors.sync.n + "), each of 1 KB.";
  var legend = d3.select("#legend");
  fabrics.forEach(function (f) {
    var item = legend.append("li");
    mark(item.append("svg").attr("width", 16).attr("height", 16), f.name, 8, 8, 70);
    item.append("span").text(f.title);
  });
})();

/* ---- Latency of every workload ---- */
(function () {
  var list = works.filter(function (w) { return shown(w.name).length; }), node = section("overview", list.length);
  if (!node) return;
  var step = 13, at = 8, rows = list.map(function (w) {
    var mine = shown(w.name), row = {work: w, cells: mine, top: at};
    at += Math.max(2, mine.length) * step + 14;
    return row;
  });
  var width = 1120, x0 = 330, x1 = 1100, svg = picture(node.querySelector(".plot"), width, at + 44), values = [];
  rows.forEach(function (r) {
    r.cells.forEach(function (c) { values.push(c.latency.p50_us, c.latency.p99_us || c.latency.p50_us); if (c.floor_us) values.push(c.floor_us); });
    report.published.forEach(function (p) { if (p.workload === r.work.name) values.push(p.us); });
  });
  var x = log_scale(values, x0, x1);
  bottom(svg, x, decades(x), tick, at, at - 4, "time, logarithmic", (x0 + x1) / 2);
  rows.forEach(function (r) {
    var y = r.top + step;
    svg.append("line").attr("class", "row").attr("x1", 0).attr("x2", x1).attr("y1", r.top - 4).attr("y2", r.top - 4);
    svg.append("text").attr("x", 0).attr("y", y).text(r.work.name);
    svg.append("text").attr("class", "small").attr("x", 0).attr("y", y + 14).text(r.work.title.length > 58 ? r.work.title.slice(0, 56) + "…" : r.work.title);
    var floor = r.cells[0].floor_us, end = r.top + Math.max(2, r.cells.length) * step;
    if (floor) svg.append("line").attr("class", "floor").attr("x1", x(floor)).attr("x2", x(floor)).attr("y1", r.top).attr("y2", end)
      .append("title").text("floor " + time(floor));
    report.published.forEach(function (p) {
      if (p.workload !== r.work.name) return;
      svg.append("path").attr("class", "published").attr("d", "M-4,-4L4,4M-4,4L4,-4").attr("transform", "translate(" + x(p.us) + "," + (end + 1) + ")")
        .append("title").text(p.who + ": " + time(p.us) + "\n" + p.source);
    });
    r.cells.forEach(function (c, i) {
      var cy = r.top + 5 + i * step, px = x(c.latency.p50_us), far = px;
      if (c.latency.p99_us !== null) {
        far = x(c.latency.p99_us);
        svg.append("line").attr("class", "whisker " + c.fabric).attr("x1", px).attr("x2", far).attr("y1", cy).attr("y2", cy);
      }
      mark(svg, c.fabric, px, cy, 55, c.start === "cold").append("title").text(told(c));
      svg.append("text").attr("class", "small").attr("x", far + 9).attr("y", cy + 4)
        .text(time(c.latency.p50_us) + (c.size !== r.work.size ? ", " + c.size + " members" : "") + (c.start === "cold" ? " cold" : "") + "  n " + c.latency.n);
    });
  });
})();

/* ---- Distributions ---- */
(function () {
  var list = works.filter(function (w) { return shown(w.name, function (c) { return c.latency.n > 1; }).length; }), node = section("distributions", list.length);
  if (!node) return;
  list.forEach(function (w) {
    var mine = shown(w.name, function (c) { return c.latency.n > 1; });
    var card = d3.select(node.querySelector(".grid")).append("div").attr("class", "card");
    card.append("h3").text(w.name + " ").append("span").text(w.title);
    var svg = picture(card.node(), 350, 210), values = [];
    mine.forEach(function (c) { values = values.concat(c.latency.quantiles_us); });
    var x = log_scale(values, 40, 335), y = d3.scale.linear().domain([0, 1]).range([165, 12]);
    bottom(svg, x, decades(x), tick, 165, 153, "time, logarithmic", 190);
    left(svg, y, [0, 0.25, 0.5, 0.75, 1], d3.format("%"), 40, 295);
    mine.forEach(function (c) {
      var q = c.latency.quantiles_us, line = d3.svg.line().x(function (d) { return x(d[0]); }).y(function (d) { return y(d[1]); }).interpolate("step-after");
      svg.append("path").attr("class", "curve " + c.fabric + (c.start === "cold" ? " cold" : "")).attr("d", line(q.map(function (v, i) { return [v, i / (q.length - 1)]; })))
        .append("title").text(told(c));
    });
    card.append("p").attr("class", "quiet").text("n: " + mine.map(function (c) { return c.fabric + (c.start === "cold" ? " cold " : " ") + c.latency.n; }).join(", "));
  });
})();

/* ---- Where the time goes ---- */
(function () {
  var list = [];
  works.forEach(function (w) { shown(w.name, is_hot).forEach(function (c) { if (c.breakdown && c.size === w.size) list.push(c); }); });
  var node = section("breakdown", list.length);
  if (!node) return;
  var parts = [["wire_us", "wire", "round trip"], ["disk_us", "disk", "syncs"], ["poll_us", "wait", "poll"], ["rest_us", "rest", "the rest"]];
  var at = 26, last = null, svg = picture(node.querySelector(".plot"), 1120, 26 + list.length * 16 + works.length * 8 + 40);
  var x = d3.scale.linear().domain([0, 1]).range([330, 990]);
  parts.forEach(function (p, i) {
    svg.append("rect").attr("class", p[1]).attr("x", 330 + i * 120).attr("y", 0).attr("width", 12).attr("height", 12);
    svg.append("text").attr("x", 348 + i * 120).attr("y", 11).text(p[2]);
  });
  list.forEach(function (c) {
    if (last !== c.workload) { at += last ? 8 : 0; svg.append("text").attr("x", 0).attr("y", at + 11).text(c.workload); last = c.workload; }
    mark(svg, c.fabric, 160, at + 7, 45);
    svg.append("text").attr("class", "small").attr("x", 172).attr("y", at + 11).text(title(fabrics, c.fabric).replace(" 50 ms to 30 s", ""));
    var sum = d3.sum(parts, function (p) { return c.breakdown[p[0]] || 0; }), from = 0;
    parts.forEach(function (p) {
      var share = (c.breakdown[p[0]] || 0) / sum;
      if (share > 0) svg.append("rect").attr("class", p[1]).attr("x", x(from)).attr("width", Math.max(0, x(from + share) - x(from) - 1)).attr("y", at).attr("height", 13)
        .append("title").text(p[2] + " " + time(c.breakdown[p[0]]) + ", " + (share * 100).toFixed(0) + " %\n" + told(c));
      from += share;
    });
    svg.append("text").attr("class", "small").attr("x", 998).attr("y", at + 11).text(time(c.latency.mean_us) + "  n " + c.latency.n);
    at += 16;
  });
  bottom(svg, x, [0, 0.25, 0.5, 0.75, 1], d3.format("%"), at + 4, 0, "share of the mean", 660);
  svg.attr("viewBox", "0 0 1120 " + (at + 44));
})();

/* ---- Scaling ---- */
(function () {
  var groups = [{label: "fan-out and fan-in: activities at once", unit: "activities", test: function (c) { return /^fanout/.test(c.workload); }},
                {label: "sequence: activities one after the other", unit: "activities", test: function (c) { return /^hello/.test(c.workload); }},
                {label: "bully election: members", unit: "members", test: function (c) { return c.workload === "election"; }}];
  groups = groups.filter(function (g) {
    g.cells = cells.filter(function (c) { return g.test(c) && is_hot(c) && is_near(c); });
    return d3.set(g.cells.map(function (c) { return c.size; })).size() > 1;
  });
  var node = section("scaling", groups.length);
  if (!node) return;
  groups.forEach(function (g) {
    var card = d3.select(node.querySelector(".grid")).append("div").attr("class", "card");
    card.append("h3").text(g.label);
    var svg = picture(card.node(), 350, 240);
    var sizes = d3.set(g.cells.map(function (c) { return c.size; })).values().map(Number).sort(d3.ascending);
    var x = d3.scale.log().domain([sizes[0] * 0.8, sizes[sizes.length - 1] * 1.2]).range([52, 335]);
    var y = log_scale(g.cells.map(function (c) { return c.latency.p50_us; }), 195, 14);
    bottom(svg, x, sizes, String, 195, 181, g.unit + ", logarithmic", 190);
    left(svg, y, decades(y), tick, 52, 283);
    fabrics.forEach(function (f) {
      var mine = g.cells.filter(function (c) { return c.fabric === f.name; }).sort(function (a, b) { return a.size - b.size; });
      if (!mine.length) return;
      svg.append("path").attr("class", "curve " + f.name).attr("d", d3.svg.line().x(function (c) { return x(c.size); }).y(function (c) { return y(c.latency.p50_us); })(mine));
      mine.forEach(function (c) { mark(svg, f.name, x(c.size), y(c.latency.p50_us), 50).append("title").text(told(c)); });
    });
    card.append("p").attr("class", "quiet").text("median; n: " + d3.extent(g.cells, function (c) { return c.latency.n; }).join(" to "));
  });
})();

/* ---- Storage operations ---- */
(function () {
  var list = shown("hello3", function (c) { return is_hot(c) && c.per_run && c.hub; }), node = section("operations", list.length);
  if (!node) return;
  var kinds = ["enqueue", "dequeue", "delete", "read", "write", "renew", "empty"];
  var rows = [];
  list.forEach(function (c) {
    rows.push({name: way(c), cls: c.fabric, s: c.per_run.storage, n: c.latency.n});
    rows.push({name: "\u2003its orchestrator alone", cls: c.fabric, s: c.per_run.orchestrator, n: null});
  });
  rows.push({name: report.known.who + ", its orchestrator (known)", cls: "other", s: report.known, n: null});
  var svg = picture(node.querySelector(".plot"), 1120, 30 + rows.length * 30 + 10), span = 100;
  kinds.forEach(function (k, i) { svg.append("text").attr("class", "small").attr("x", 400 + i * span).attr("y", 12).text(k === "empty" ? "empty polls" : k); });
  var most = d3.max(rows, function (r) { return d3.max(kinds.slice(0, 5), function (k) { return r.s[k] || 0; }); });
  rows.forEach(function (r, i) {
    var y = 24 + i * 30;
    svg.append("text").attr("x", 0).attr("y", y + 13).text(r.name + (r.n ? "  n " + r.n : ""));
    kinds.forEach(function (k, j) {
      if (r.s[k] === undefined) return;
      var long = Math.min(1, r.s[k] / most) * (span - 50);
      svg.append("rect").attr("class", "bar " + r.cls).attr("x", 400 + j * span).attr("y", y + 2).attr("width", Math.max(1, long)).attr("height", 14);
      svg.append("text").attr("class", "small").attr("x", 404 + j * span + long).attr("y", y + 13).text(number(r.s[k]));
    });
  });
})();

/* ---- Money ---- */
(function () {
  var list = works.filter(function (w) { return shown(w.name, function (c) { return c.money_per_million > 0 && is_hot(c); }).length; }), node = section("cost", list.length);
  if (!node) return;
  var p = report.prices;
  document.getElementById("prices").textContent = "In " + p.currency + ": a million queue operations " + p.queue_operation + ", reads " + p.read + ", writes " + p.write + "; a GB stored for a month " +
    p.stored_gigabyte + "; a CPU hour " + p.cpu_hour + ". Source: " + p.source + ". The direct fabric has no storage service to pay: disk and CPU.";
  var height = list.length * 30, svg = picture(node.querySelector(".plot"), 1120, height + 48), values = [];
  list.forEach(function (w) { shown(w.name, is_hot).forEach(function (c) { if (c.money_per_million > 0) values.push(c.money_per_million); }); });
  var x = log_scale(values, 200, 1080);
  bottom(svg, x, decades(x), function (v) { return v >= 1 ? d3.format(",")(v) : String(+v.toPrecision(1)); }, height + 4, height, p.currency + " a million runs, logarithmic", 640);
  list.forEach(function (w, i) {
    var y = 14 + i * 30;
    svg.append("text").attr("x", 0).attr("y", y + 4).text(w.name);
    svg.append("line").attr("class", "row").attr("x1", 0).attr("x2", 1080).attr("y1", y + 15).attr("y2", y + 15);
    shown(w.name, is_hot).forEach(function (c) { /* an election of each size */
      if (c.money_per_million > 0) mark(svg, c.fabric, x(c.money_per_million), y, 60).append("title").text(money(c.money_per_million) + " " + p.currency + "\n" + told(c));
    });
  });
})();

/* ---- Idle ---- */
(function () {
  var list = report.idle, node = section("idle", list.length);
  if (!node) return;
  var columns = [["storage operations a second", function (i) { var s = i.per_second.storage; return s.empty + s.dequeue + s.renew + s.read + s.write; }],
                 ["bytes a second to disk", function (i) { return i.per_second.bytes; }],
                 ["% of a core", function (i) { return i.per_second.cpu_us / 1e4; }],
                 [report.prices.currency + " a month", function (i) { return i.money_per_hour * 730; }]];
  var svg = picture(node.querySelector(".plot"), 1120, 30 + list.length * 26), span = 205;
  columns.forEach(function (c, j) { svg.append("text").attr("class", "small").attr("x", 290 + j * span).attr("y", 12).text(c[0]); });
  list.forEach(function (it, i) {
    var y = 22 + i * 26;
    mark(svg, it.fabric, 8, y + 9, 55);
    svg.append("text").attr("x", 22).attr("y", y + 13).text(way({fabric: it.fabric, hub: it.hub, start: "hot"}).replace("hub on a node of its own", "hub apart"));
    columns.forEach(function (c, j) {
      var most = d3.max(list, c[1]) || 1, value = c[1](it), long = value / most * (span - 75);
      svg.append("rect").attr("class", "bar " + it.fabric).attr("x", 290 + j * span).attr("y", y + 2).attr("width", Math.max(1, long)).attr("height", 14);
      svg.append("text").attr("class", "small").attr("x", 295 + j * span + long).attr("y", y + 13).text(number(value));
    });
  });
})();

/* ---- All figures ---- */
(function () {
  var heads = ["workload", "fabric", "hub", "start", "n", "p50", "p99", "mean", "floor", "p50 / floor", "runs / s", "messages", "enqueue", "dequeue", "delete", "read", "write", "renew", "empty",
               "syncs", "bytes", "CPU", report.prices.currency + " a million"];
  var table = d3.select("#all table");
  table.append("thead").append("tr").selectAll("th").data(heads).enter().append("th").text(String);
  var body = table.append("tbody");
  report.cells.forEach(function (c) {
    var l = c.latency, r = c.per_run, s = r ? r.storage : {}, row = body.append("tr").attr("class", c.fabric);
    var values = [c.workload + (c.workload === "election" && c.size ? " " + c.size : ""), title(fabrics, c.fabric), c.hub || "–", c.ok ? c.start : c.start + ", failed", l.n, time(l.p50_us), time(l.p99_us), time(l.mean_us), time(c.floor_us), number(c.ratio), number(c.rate),
                  number(r && r.messages), number(s.enqueue), number(s.dequeue), number(s.delete), number(s.read), number(s.write), number(s.renew), number(s.empty), number(r && r.syncs), number(r && r.bytes),
                  time(r ? r.cpu_us : null), money(c.money_per_million)];
    row.selectAll("td").data(values).enter().append("td").attr("class", function (d, i) { return i === 1 ? "fabric " + c.fabric : null; }).text(String);
  });
})();
})();
