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
/* As wide as the window has room, so that texts keep their size; narrow: names stand above their rows, not beside them. */
var wide = Math.max(300, Math.min(1120, document.querySelector("main").clientWidth)), narrow = wide < 760;
var short = {"direct": "direct", "hub-notify": "notify", "hub-100ms": "100 ms", "hub-250ms": "250 ms", "hub-1s": "1 s", "hub-backoff": "back-off"};
function picture(node, width, height) {
  return d3.select(node).append("svg").attr("viewBox", "0 0 " + width + " " + height).attr("width", width).attr("height", height).attr("role", "img");
}
/* The powers of 10 that have room: so many pixels each. */
function decades(scale, room) {
  var d = scale.domain(), ticks = [];
  for (var e = Math.ceil(Math.log(d[0]) / Math.LN10 - 1e-9); Math.pow(10, e) <= d[1] * 1.0001; e++) ticks.push(Math.pow(10, e));
  var every = Math.ceil(ticks.length * (room || 52) / Math.abs(scale.range()[1] - scale.range()[0]));
  return ticks.filter(function (x, i) { return i % every === 0; });
}
function log_scale(values, from, to) {
  var low = d3.min(values), high = d3.max(values);
  return d3.scale.log().domain([Math.pow(10, Math.floor(Math.log(low) / Math.LN10)), Math.pow(10, Math.ceil(Math.log(high) / Math.LN10 + 1e-9))]).range([from, to]);
}
function bottom(svg, scale, ticks, format, y, length, label, middle) {
  svg.append("g").attr("class", "axis").attr("transform", "translate(0," + y + ")")
    .call(d3.svg.axis().scale(scale).orient("bottom").tickValues(ticks).tickFormat(format).tickSize(-length, 0).tickPadding(8));
  svg.append("text").attr("class", "small").attr("x", middle).attr("y", y + 36).attr("text-anchor", "middle").text(label);
}
function left(svg, scale, ticks, format, x, length) {
  svg.append("g").attr("class", "axis").attr("transform", "translate(" + x + ",0)")
    .call(d3.svg.axis().scale(scale).orient("left").tickValues(ticks).tickFormat(format).tickSize(-length, 0).tickPadding(6));
}
function mark(svg, fabric, x, y, size, cold) {
  return svg.append("path").attr("class", "mark " + fabric + (cold ? " cold" : "")).attr("d", d3.svg.symbol().type(shapes[fabric] || "circle").size(size))
    .attr("transform", "translate(" + x + "," + y + ")");
}
/* A text beside a mark: behind it, or before it where there is no room. `from`, `to`: the mark's and its whisker's ends. */
function beside(svg, from, to, y, end, text) {
  var before = to + 9 + text.length * 5.9 > end;
  svg.append("text").attr("class", "small halo").attr("x", before ? from - 9 : to + 9).attr("y", y + 4).attr("text-anchor", before ? "end" : "start").text(text);
}
function head(svg, row, top) {
  var both = svg.append("text").attr("x", 0).attr("y", top + 12);
  both.append("tspan").attr("class", "name").text(row.name + (narrow ? "\u2002" : ""));
  var small = both.append("tspan").attr("class", "small");
  if (narrow) small.text(row.title.length > 44 ? row.title.slice(0, 42) + "…" : row.title);
  else small.attr("x", 0).attr("dy", 15).text(row.title.length > 50 ? row.title.slice(0, 48) + "…" : row.title);
}
function section(id, any) {
  var node = document.getElementById(id);
  if (!any) node.remove();
  return any ? node : null;
}
/* Texts at (x, y), pushed down or up until none lies over another. */
function labels(svg, list) {
  list.sort(function (a, b) { return a.y - b.y; });
  for (var i = 1; i < list.length; i++) if (list[i].y < list[i - 1].y + 12) list[i].y = list[i - 1].y + 12;
  list.forEach(function (l) { svg.append("text").attr("class", "small own " + l.cls).attr("x", l.x).attr("y", l.y + 4).text(l.text); });
}
/* One row for each workload, one mark for each cell that has a value: what is more than a time. */
function dots(node, list, value, format, label, test) {
  var x0 = narrow ? 12 : 300, x1 = wide - 20, at = 6, values = [], tall = narrow ? 20 : 0;
  list.forEach(function (w) { shown(w.name, test).forEach(function (c) { if (value(c) > 0) values.push(value(c)); }); });
  var x = log_scale(values, x0, x1), rows = list.map(function (w) {
    var row = {work: w, cells: shown(w.name, function (c) { return test(c) && value(c) > 0; }), top: at};
    at += tall + Math.max(narrow ? 1 : 2, row.cells.length) * 14 + 10;
    return row;
  });
  var svg = picture(node, wide, at + 44);
  bottom(svg, x, decades(x), function (v) { return v >= 1 ? d3.format(",")(v) : String(+v.toPrecision(1)); }, at, at - 4, label, (x0 + x1) / 2);
  rows.forEach(function (r) {
    svg.append("line").attr("class", "row").attr("x1", 0).attr("x2", wide).attr("y1", r.top - 4).attr("y2", r.top - 4);
    head(svg, r.work, r.top);
    r.cells.forEach(function (c, i) {
      var y = r.top + tall + 7 + i * 14, px = x(value(c));
      mark(svg, c.fabric, px, y, 55).append("title").text(told(c));
      beside(svg, px, px, y, x1, format(c));
    });
  });
}

/* ---- Headline and legend ---- */
(function () {
  var best = ["hello3"].concat(works.map(function (w) { return w.name; })).filter(function (w) { return shown(w, is_hot).length > 1; })[0];
  if (best) {
    var list = shown(best, is_hot), first = list[0], titles = list.slice(1).map(function (c) {
      var more = c.latency.p50_us / first.latency.p50_us;
      return d3.format(",." + (more < 10 ? 1 : 0) + "f")(more) + " × as long " + ({"hub-notify": "with notify", "hub-250ms": "polled 4 times a second", "hub-backoff": "with the default back-off"}[c.fabric] || title(fabrics, c.fabric));
    });
    if (first.fabric === "direct") {
      document.querySelector("h1").textContent = "What agents do directly takes a task hub in storage " + titles.join(", ");
      document.title = "stead: direct against storage-mediated";
    }
    document.getElementById("headline").textContent = title(works, best).replace(/^./, function (x) { return x.toUpperCase(); }) + ", median: " +
      list.map(function (c) { return title(fabrics, c.fabric) + " " + time(c.latency.p50_us) + " (n " + c.latency.n + (c.disturbed ? ", while the disk was busy with something else" : "") + ")"; }).join("; ") + ".";
  }
  document.getElementById("run").textContent = "stead " + report.stead + ", " + report.machine.measured + ", " + report.machine.cores + " cores, " +
    "measured in " + report.seconds + " s" + (report.quick ? " (quick: fewer samples, smaller data, no cold starts)" : "") +
    ". Floors: a round trip of ZeroMQ " + time(report.floors.trip.p50_us) + " (n " + report.floors.trip.n + "), a synced write " + time(report.floors.sync.p50_us) +
    " (n " + report.floors.sync.n + "), each of 1 KB.";
  var legend = d3.select("#legend");
  fabrics.forEach(function (f) {
    if (!shapes[f.name]) return;
    var item = legend.append("li");
    mark(item.append("svg").attr("width", 16).attr("height", 16), f.name, 8, 8, 70);
    item.append("span").text(f.title);
  });
  if (cells.some(function (c) { return c.start === "cold"; })) {
    var item = legend.append("li");
    mark(item.append("svg").attr("width", 16).attr("height", 16), "other", 8, 8, 70, true);
    item.append("span").text("hollow, dashed: started cold");
  }
})();

/* ---- Latency of every workload ---- */
(function () {
  var list = works.filter(function (w) { return shown(w.name).length; }), node = section("overview", list.length);
  if (!node) return;
  var step = 14, at = 8, tall = narrow ? 20 : 0, rows = list.map(function (w) {
    var mine = shown(w.name, function (c) { return shapes[c.fabric]; }), row = {work: w, cells: mine, top: at};
    row.published = report.published.filter(function (p) { return p.workload === w.name; });
    at += tall + Math.max(narrow ? 1 : 2, mine.length) * step + (row.published.length ? 14 : 0) + 12;
    return row;
  });
  var x0 = narrow ? 12 : 300, x1 = wide - 20, svg = picture(node.querySelector(".plot"), wide, at + 44), values = [];
  rows.forEach(function (r) {
    r.cells.forEach(function (c) { values.push(c.latency.p50_us, c.latency.p99_us || c.latency.p50_us); if (c.floor_us) values.push(c.floor_us); });
    r.published.forEach(function (p) { values.push(p.us); });
  });
  var x = log_scale(values, x0, x1);
  bottom(svg, x, decades(x), tick, at, at - 4, "time, logarithmic", (x0 + x1) / 2);
  rows.forEach(function (r) {
    svg.append("line").attr("class", "row").attr("x1", 0).attr("x2", wide).attr("y1", r.top - 5).attr("y2", r.top - 5);
    head(svg, r.work, r.top);
    var top = r.top + tall, end = top + r.cells.length * step, floor = r.cells[0].floor_us;
    if (floor) svg.append("line").attr("class", "floor").attr("x1", x(floor)).attr("x2", x(floor)).attr("y1", top).attr("y2", end)
      .append("title").text("floor " + time(floor));
    if (floor && r === rows[0]) svg.append("text").attr("class", "small halo").attr("x", x(floor) - 5).attr("y", end).attr("text-anchor", "end").text("floor");
    r.published.forEach(function (p) {
      svg.append("path").attr("class", "published").attr("d", "M-4,-4L4,4M-4,4L4,-4").attr("transform", "translate(" + x(p.us) + "," + (end + 6) + ")")
        .append("title").text(p.who + ": " + time(p.us) + "\n" + p.source);
    });
    r.cells.forEach(function (c, i) {
      var cy = top + 6 + i * step, px = x(c.latency.p50_us), far = px;
      if (c.latency.p99_us !== null) {
        far = x(c.latency.p99_us);
        svg.append("line").attr("class", "whisker " + c.fabric).attr("x1", px).attr("x2", far).attr("y1", cy).attr("y2", cy);
      }
      mark(svg, c.fabric, px, cy, 55, c.start === "cold").append("title").text(told(c));
      beside(svg, px, far, cy, x1, time(c.latency.p50_us) + (c.size !== r.work.size ? ", " + c.size + " members" : "") + (c.start === "cold" ? " cold" : "") + ", n " + c.latency.n + (c.disturbed ? " *" : ""));
    });
  });
  if (cells.some(function (c) { return c.disturbed; }))
    d3.select(node).append("p").attr("class", "quiet").text("* The disk was busy with something else while this was measured: a synced write took more than twice as long as at the start.");
  var told_of = rows.filter(function (r) { return r.published.length; }).map(function (r) {
    return r.work.name + ": " + r.published.map(function (p) { return p.who + " " + time(p.us); }).join(", ");
  });
  if (told_of.length) d3.select(node).append("p").attr("class", "quiet").text("Crosses, published by others on other machines, left to right. " + told_of.join("; ") + ". Sources: " +
    d3.set(report.published.map(function (p) { return p.source; })).values().join("; ") + ".");
})();

/* ---- Distributions ---- */
(function () {
  function enough(c) { return c.latency.n > 1 && shapes[c.fabric] && (c.workload !== "election" || c.size === 3); }
  var list = works.filter(function (w) { return shown(w.name, enough).length; }), node = section("distributions", list.length);
  if (!node) return;
  list.forEach(function (w) {
    var mine = shown(w.name, enough);
    var card = d3.select(node.querySelector(".grid")).append("div").attr("class", "card");
    card.append("h3").text(w.name + " ").append("span").text(w.title + (w.name === "election" ? ", 3 members" : ""));
    var svg = picture(card.node(), 350, 214), values = [];
    mine.forEach(function (c) { values = values.concat(c.latency.quantiles_us); });
    var x = log_scale(values, 44, 335), y = d3.scale.linear().domain([0, 1]).range([165, 12]);
    bottom(svg, x, decades(x), tick, 165, 153, "time, logarithmic", 190);
    left(svg, y, [0, 0.25, 0.5, 0.75, 1], d3.format("%"), 40, 295);
    mine.forEach(function (c) {
      var q = c.latency.quantiles_us, line = d3.svg.line().x(function (d) { return x(d[0]); }).y(function (d) { return y(d[1]); }).interpolate("step-after");
      svg.append("path").attr("class", "curve " + c.fabric + (c.start === "cold" ? " cold" : "")).attr("d", line(q.map(function (v, i) { return [v, i / (q.length - 1)]; })))
        .append("title").text(told(c));
    });
    var keys = card.append("p").attr("class", "quiet");
    mine.forEach(function (c) { keys.append("span").attr("class", "own key " + c.fabric).text(short[c.fabric] + (c.start === "cold" ? " cold" : "") + " n " + c.latency.n); });
  });
})();

/* ---- Where the time goes ---- */
(function () {
  var list = [];
  works.forEach(function (w) { shown(w.name, is_hot).forEach(function (c) { if (c.breakdown && c.size === w.size) list.push(c); }); });
  var node = section("breakdown", list.length);
  if (!node) return;
  var parts = [["poll_us", "wait", "poll"], ["disk_us", "disk", "syncs"], ["wire_us", "wire", "round trip"], ["rest_us", "rest", "the rest"]];
  var count = d3.set(list.map(function (c) { return c.workload; })).size(), at = 30, last = null;
  var svg = picture(node.querySelector(".plot"), wide, 30 + list.length * 16 + count * (narrow ? 26 : 8) + 48);
  var x0 = narrow ? 76 : 270, x1 = wide - (narrow ? 110 : 130), x = d3.scale.linear().domain([0, 1]).range([x0, x1]);
  parts.forEach(function (p, i) {
    var from = (narrow ? 0 : x0) + i * 86;
    svg.append("rect").attr("class", p[1]).attr("x", from).attr("y", 0).attr("width", 12).attr("height", 12);
    svg.append("text").attr("x", from + 17).attr("y", 11).text(p[2]);
  });
  list.forEach(function (c) {
    if (last !== c.workload) {
      at += last ? 8 : 0;
      svg.append("text").attr("class", "name").attr("x", 0).attr("y", at + 11).text(c.workload);
      at += narrow ? 18 : 0;
      last = c.workload;
    }
    mark(svg, c.fabric, x0 - 68, at + 7, 45);
    svg.append("text").attr("class", "small").attr("x", x0 - 58).attr("y", at + 11).text(short[c.fabric]);
    var sum = d3.sum(parts, function (p) { return c.breakdown[p[0]] || 0; }), from = 0;
    parts.forEach(function (p) {
      var share = (c.breakdown[p[0]] || 0) / sum;
      if (share > 0) svg.append("rect").attr("class", p[1]).attr("x", x(from)).attr("width", Math.max(0.5, x(from + share) - x(from) - 1)).attr("y", at).attr("height", 13)
        .append("title").text(p[2] + " " + time(c.breakdown[p[0]]) + ", " + (share * 100).toFixed(0) + " %\n" + told(c));
      from += share;
    });
    svg.append("text").attr("class", "small").attr("x", x1 + 8).attr("y", at + 11).text(time(c.latency.mean_us) + ", n " + c.latency.n + (c.disturbed ? " *" : ""));
    at += 16;
  });
  bottom(svg, x, [0, 0.5, 1], d3.format("%"), at + 2, 0, "share of the mean; its length beside it", (x0 + x1) / 2);
})();

/* ---- Scaling ---- */
(function () {
  function fabric_of(c) { return c.fabric; }
  var groups = [{label: "fan-out and fan-in", unit: "activities at once", test: function (c) { return /^fanout/.test(c.workload) && shapes[c.fabric]; }, at: "size"},
                {label: "sequence", unit: "activities one after the other", test: function (c) { return c.workload === "fanout1" && shapes[c.fabric] || /^hello/.test(c.workload); }, at: "size"},
                {label: "bully election by members", unit: "members", test: function (c) { return c.workload === "election" && shapes[c.fabric]; }, at: "size"},
                {label: "bully election by poll interval", unit: "poll interval", test: function (c) { return c.workload === "election" && interval[c.fabric]; }, at: "interval", paper: true}];
  var interval = {"hub-100ms": 100, "hub-250ms": 250, "hub-1s": 1000};
  groups = groups.filter(function (g) {
    g.x = function (c) { return g.at === "size" ? c.size : interval[c.fabric]; };
    g.series = g.at === "size" ? fabric_of : function (c) { return c.size + " members"; };
    g.cells = cells.filter(function (c) { return g.test(c) && is_hot(c) && is_near(c); });
    return d3.set(g.cells.map(g.x)).size() > 1;
  });
  var node = section("scaling", groups.length);
  if (!node) return;
  groups.forEach(function (g) {
    var card = d3.select(node.querySelector(".grid")).append("div").attr("class", "card");
    card.append("h3").text(g.label + " ").append("span").text("median");
    var svg = picture(card.node(), 350, 246), ends = [];
    var at = d3.set(g.cells.map(g.x)).values().map(Number).sort(d3.ascending), values = g.cells.map(function (c) { return c.latency.p50_us; });
    var paper = g.paper ? report.published.filter(function (p) { return p.workload === "election"; })[0] : null;
    if (paper) values.push(paper.us);
    var x = d3.scale.log().domain([at[0] * 0.8, at[at.length - 1] * 1.2]).range([56, 270]), y = log_scale(values, 195, 14);
    bottom(svg, x, at, g.at === "size" ? String : function (v) { return tick(v * 1000); }, 195, 181, g.unit + ", logarithmic", 165);
    left(svg, y, decades(y, 24), tick, 52, 218);
    d3.set(g.cells.map(g.series)).values().forEach(function (s) {
      var mine = g.cells.filter(function (c) { return g.series(c) === s; }).sort(function (a, b) { return g.x(a) - g.x(b); });
      var cls = g.at === "size" ? s : "hub-250ms", last = mine[mine.length - 1];
      svg.append("path").attr("class", "curve " + cls).attr("d", d3.svg.line().x(function (c) { return x(g.x(c)); }).y(function (c) { return y(c.latency.p50_us); })(mine));
      mine.forEach(function (c) { mark(svg, cls, x(g.x(c)), y(c.latency.p50_us), 50).append("title").text(told(c)); });
      ends.push({x: x(g.x(last)) + 9, y: y(last.latency.p50_us), cls: cls, text: short[s] || s});
    });
    labels(svg, ends);
    if (paper) {
      svg.append("path").attr("class", "published").attr("d", "M-4,-4L4,4M-4,4L4,-4").attr("transform", "translate(" + x(250) + "," + y(paper.us) + ")").append("title").text(paper.who + "\n" + paper.source);
      svg.append("text").attr("class", "small halo").attr("x", x(250) - 8).attr("y", y(paper.us) + 4).attr("text-anchor", "end").text("the paper's " + time(paper.us));
    }
    card.append("p").attr("class", "quiet").text("n " + d3.set(d3.extent(g.cells, function (c) { return c.latency.n; })).values().join(" to "));
  });
})();

/* ---- Throughput ---- */
(function () {
  function has(c) { return is_hot(c) && c.rate > 0; }
  var list = works.filter(function (w) { return shown(w.name, has).length; }), node = section("throughput", list.length);
  if (node) dots(node.querySelector(".plot"), list, function (c) { return c.rate; }, function (c) {
    return number(c.rate) + "/s, " + c.in_flight + " at once" + (c.rate_syncs && !narrow ? ", " + number(c.rate_syncs) + " syncs each" : "");
  }, "runs a second, logarithmic", has);
})();

/* ---- The hub on another node ---- */
(function () {
  var list = [];
  works.forEach(function (w) {
    of(w.name, function (c) { return is_hot(c) && c.hub === "near" && c.size === w.size; }).forEach(function (c) {
      var other = of(w.name, function (o) { return is_hot(o) && o.hub === "apart" && o.fabric === c.fabric; })[0];
      if (other) list.push({work: w, near: c, apart: other});
    });
  });
  var node = section("apart", list.length);
  if (!node) return;
  var x0 = narrow ? 12 : 200, x1 = wide - 20, at = 6, last = null, values = [];
  list.forEach(function (p) { values.push(p.near.latency.p50_us, p.apart.latency.p50_us); });
  var x = log_scale(values, x0, x1), count = d3.set(list.map(function (p) { return p.work.name; })).size();
  var svg = picture(node.querySelector(".plot"), wide, list.length * 14 + count * (narrow ? 28 : 8) + 60), axis = svg.append("g");
  list.forEach(function (p) {
    if (last !== p.work) {
      at += last ? 8 : 0;
      svg.append("line").attr("class", "row").attr("x1", 0).attr("x2", wide).attr("y1", at - 3).attr("y2", at - 3);
      svg.append("text").attr("class", "name").attr("x", 0).attr("y", at + 12).text(p.work.name);
      at += narrow ? 20 : 0;
      last = p.work;
    }
    var a = x(p.near.latency.p50_us), b = x(p.apart.latency.p50_us);
    svg.append("line").attr("class", "whisker " + p.near.fabric).attr("x1", a).attr("x2", b).attr("y1", at + 7).attr("y2", at + 7);
    mark(svg, p.near.fabric, a, at + 7, 55).append("title").text(told(p.near));
    mark(svg, p.near.fabric, b, at + 7, 55, true).append("title").text(told(p.apart));
    beside(svg, Math.min(a, b), Math.max(a, b), at + 7, x1, time(p.near.latency.p50_us) + ", apart " + time(p.apart.latency.p50_us) + ", n " + p.near.latency.n + ", " + p.apart.latency.n);
    at += 14;
  });
  bottom(axis, x, decades(x), tick, at + 4, at, "median, logarithmic", (x0 + x1) / 2);
})();

/* ---- Storage operations ---- */
(function () {
  var list = shown("hello3", function (c) { return is_hot(c) && c.per_run && c.hub; }), node = section("operations", list.length);
  if (!node) return;
  var kinds = ["enqueue", "dequeue", "delete", "read", "write", "renew", "empty"].slice(0, narrow ? 5 : 7);
  var rows = [];
  list.forEach(function (c) {
    rows.push({name: title(fabrics, c.fabric) + ", n " + c.latency.n, cls: c.fabric, s: c.per_run.storage});
    rows.push({name: "\u2003of them, its orchestrator's", cls: c.fabric, s: c.per_run.orchestrator});
  });
  rows.push({name: narrow ? "Durable Functions (known), orchestrator" : report.known.who + ", orchestrator's (known)", cls: "other", s: report.known});
  var x0 = narrow ? 0 : 390, span = (wide - x0) / kinds.length, tall = narrow ? 42 : 26, svg = picture(node.querySelector(".plot"), wide, 30 + rows.length * tall);
  kinds.forEach(function (k, i) { svg.append("text").attr("class", "small").attr("x", x0 + i * span).attr("y", 12).text(k === "empty" ? "empty polls" : k); });
  var most = d3.max(rows, function (r) { return d3.max(kinds.slice(0, 5), function (k) { return r.s[k] || 0; }); });
  rows.forEach(function (r, i) {
    var y = 22 + i * tall, bar = y + (narrow ? 18 : 2);
    svg.append("text").attr("x", 0).attr("y", y + 13).text(r.name);
    kinds.forEach(function (k, j) {
      if (r.s[k] === undefined) return;
      var long = Math.min(1, r.s[k] / most) * (span - 46);
      svg.append("rect").attr("class", "bar " + r.cls).attr("x", x0 + j * span).attr("y", bar).attr("width", Math.max(1, long)).attr("height", 14);
      svg.append("text").attr("class", "small").attr("x", x0 + 4 + j * span + Math.max(1, long)).attr("y", bar + 11).text(number(r.s[k]));
    });
  });
})();

/* ---- Money ---- */
(function () {
  function has(c) { return is_hot(c) && c.money_per_million > 0; }
  var list = works.filter(function (w) { return shown(w.name, has).length; }), node = section("cost", list.length);
  if (!node) return;
  var p = report.prices;
  document.getElementById("prices").textContent = "In " + p.currency + ": a million queue operations " + p.queue_operation + ", reads " + p.read + ", writes " + p.write + "; a GB stored for a month " +
    p.stored_gigabyte + "; a CPU hour " + p.cpu_hour + ". Source: " + p.source + ". The direct fabric has no storage service to pay: disk and CPU.";
  dots(node.querySelector(".plot"), list, function (c) { return c.money_per_million; }, function (c) {
    return number(c.money_per_million) + (c.workload === "election" ? ", " + c.size + " members" : "") + ", n " + c.latency.n;
  }, p.currency + " a million runs, logarithmic", function (c) { return has(c) && shapes[c.fabric]; });
})();

/* ---- Idle ---- */
(function () {
  var list = report.idle, node = section("idle", list.length);
  if (!node) return;
  var columns = [["storage ops/s", function (i) { var s = i.per_second.storage; return s.empty + s.dequeue + s.renew + s.read + s.write; }],
                 ["bytes/s to disk", function (i) { return i.per_second.bytes; }],
                 ["% of a core", function (i) { return i.per_second.cpu_us / 1e4; }],
                 [report.prices.currency + " a month", function (i) { return i.money_per_hour * 730; }]];
  var x0 = narrow ? 0 : 290, span = (wide - x0) / 4, tall = narrow ? 44 : 26, svg = picture(node.querySelector(".plot"), wide, 30 + list.length * tall);
  columns.forEach(function (c, j) { svg.append("text").attr("class", "small").attr("x", x0 + j * span).attr("y", 12).text(c[0]); });
  list.forEach(function (it, i) {
    var y = 22 + i * tall, bar = y + (narrow ? 20 : 2);
    mark(svg, it.fabric, 8, y + 9, 55);
    svg.append("text").attr("x", 22).attr("y", y + 13).text(title(fabrics, it.fabric) + (it.hub === "apart" ? ", apart" : ""));
    columns.forEach(function (c, j) {
      var most = d3.max(list, c[1]) || 1, value = c[1](it), long = Math.max(1, value / most * (span - 56));
      svg.append("rect").attr("class", "bar " + it.fabric).attr("x", x0 + j * span).attr("y", bar).attr("width", long).attr("height", 14);
      svg.append("text").attr("class", "small").attr("x", x0 + 5 + j * span + long).attr("y", bar + 11).text(number(value));
    });
  });
})();

/* ---- All figures ---- */
(function () {
  var heads = ["workload", "fabric", "hub", "start", "n", "p50", "p99", "mean", "floor", "p50 / floor", "runs / s", "its syncs", "messages", "enqueue", "dequeue", "delete", "read", "write", "renew", "empty",
               "syncs", "bytes", "CPU", report.prices.currency + " a million"];
  var table = d3.select("#all table");
  table.append("thead").append("tr").selectAll("th").data(heads).enter().append("th").text(String);
  var body = table.append("tbody");
  report.cells.forEach(function (c) {
    var l = c.latency, r = c.per_run, s = r ? r.storage : {}, row = body.append("tr").attr("class", c.fabric);
    var values = [c.workload + (c.workload === "election" && c.size ? " " + c.size : ""), title(fabrics, c.fabric), c.hub || "–", c.ok ? c.start : c.start + ", failed", l.n, time(l.p50_us), time(l.p99_us), time(l.mean_us), time(c.floor_us), number(c.ratio), number(c.rate), number(c.rate_syncs),
                  number(r && r.messages), number(s.enqueue), number(s.dequeue), number(s.delete), number(s.read), number(s.write), number(s.renew), number(s.empty), number(r && r.syncs), number(r && r.bytes),
                  time(r ? r.cpu_us : null), money(c.money_per_million)];
    row.selectAll("td").data(values).enter().append("td").attr("class", function (d, i) { return i === 1 ? "fabric " + c.fabric : null; }).text(String);
  });
})();
})();
