"use strict";
// Places are [row, column] of the raster's pixels all over; zoom `zooms` shows one as one pixel of
// the screen. Leaflet calls them latitude and longitude.

const TITLES = { image: "Image", mask: "Mask", truth: "Truth", errors: "Errors", unsure: "Unsure" };
const OPACITY = { mask: 0.6, truth: 0.6, errors: 0.9, unsure: 0.8 };
const CLOSER = 5; // zooms beyond one pixel each

const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function ask(address) {
  const answer = await fetch(address).catch((error) => { $("gone").hidden = false; throw error; });
  $("gone").hidden = true;
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

// Classes that hardly occur are told apart from those that do not.
const percent = (share) =>
  share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(share && 1)} %`;

const round = (value, digits) => Number(value.toPrecision(digits)).toLocaleString("en");

function area(metres2) {
  if (metres2 < 1e-9) return `${round(metres2 * 1e12, 3)} µm²`;
  if (metres2 < 1e-2) return `${round(metres2 * 1e6, 3)} mm²`;
  if (metres2 >= 1e6) return `${round(metres2 / 1e6, 3)} km²`;
  return metres2 >= 1e4 ? `${round(metres2 / 1e4, 3)} ha` : `${round(metres2, 3)} m²`;
}

async function start() {
  const facts = await ask("facts");
  const { width, height, zooms } = facts;
  document.title = `${facts.name} · glnet view`;
  $("name").textContent = facts.name;
  $("about").textContent = `${height} × ${width} px` + (facts.system ? ` · ${facts.system}` : "");

  const unit = 1 / 2 ** zooms;
  const crs = L.extend({}, L.CRS.Simple, {
    transformation: new L.Transformation(unit, 0, unit, 0),
  });
  const whole = [[0, 0], [height, width]];
  const map = L.map("map", {
    crs, minZoom: 0, maxZoom: zooms + CLOSER, attributionControl: false, zoomSnap: 0.5,
    maxBounds: L.latLngBounds(whole).pad(0.5),
  });
  await remembered(map, facts);

  const layers = new Map();
  const finer = L.Browser.retina ? 1 : 0; // a screen of two pixels for one gets tiles of the next zoom
  for (const [order, id] of facts.layers.entries()) {
    map.createPane(id).style.zIndex = 200 + order;
    const layer = L.tileLayer(`tiles/${id}/{z}/{x}/{y}{without}`, {
      pane: id, bounds: whole, tileSize: facts.tile / 2 ** finer, zoomOffset: finer, noWrap: true,
      maxNativeZoom: zooms - finer, maxZoom: zooms + CLOSER, opacity: OPACITY[id] ?? 1, without: "",
    });
    layers.set(id, { layer, shown: id === "image" || id === "mask" });
  }
  const { classList, style } = map.getContainer();
  style.setProperty("--tile", `${facts.tile / 2 ** finer + 0.5}px`);
  const zoomed = () => {
    classList.toggle("sharp", map.getZoom() >= zooms);
    classList.toggle("between", map.getZoom() % 1 > 0);
  };
  map.on("zoomend", zoomed);
  zoomed();

  const swipe = swiping(map, layers);
  const refresh = () => {
    for (const [id, { layer, shown }] of layers) {
      $(`show-${id}`).disabled = swipe.on(); // its sides say what is shown
      const wanted = swipe.on() ? id === "image" || swipe.sides().includes(id) : shown;
      if (wanted !== map.hasLayer(layer)) wanted ? layer.addTo(map) : layer.remove();
    }
    swipe.clip();
  };
  swipe.changed = refresh;

  for (const [id, entry] of layers) $("layers").append(layerRow(id, entry, facts.colours[id], refresh));
  refresh();

  if (facts.counts) count(legend(layers));
  pointer(map, facts);
  if (facts.placed) {
    grid(map, facts);
    clicked(map);
  }
  if (facts.metres) scale(map, facts.metres, zooms);
}

function layerRow(id, entry, colour, refresh) {
  const box = make("input", { type: "checkbox", checked: entry.shown, id: `show-${id}` });
  box.onchange = () => { entry.shown = box.checked; refresh(); };
  const row = make("div", { className: "row" }, box,
    make("label", { className: "grow", htmlFor: box.id, textContent: TITLES[id] }));
  if (colour) row.append(swatch(colour));
  if (id !== "image") {
    const opacity = make("input", {
      type: "range", min: 0, max: 100, value: 100 * entry.layer.options.opacity, id: `opacity-${id}`,
    });
    opacity.setAttribute("aria-label", `Opacity of ${TITLES[id]}`);
    opacity.oninput = () => entry.layer.setOpacity(opacity.value / 100);
    row.append(opacity);
  }
  return row;
}

function swatch(colour) {
  const square = make("span", { className: "swatch" });
  square.style.background = colour;
  return square;
}

// One layer left of a line, another one right of it.
function swiping(map, layers) {
  const ids = [...layers.keys()], [box, line, left, right] = ["swiping", "line", "left", "right"].map($);
  const divider = make("div", { className: "divider", hidden: true });
  map.getContainer().append(divider);
  for (const [select, chosen] of [[left, "image"], [right, ids[ids.includes("mask") ? 1 : 0]]]) {
    select.append(...ids.map((id) => make("option", { value: id, textContent: TITLES[id] })));
    select.value = chosen;
    select.onchange = () => self.changed();
  }
  $("swipe").hidden = ids.length < 2;
  const self = {
    changed: () => {},
    on: () => box.checked,
    sides: () => [left.value, right.value],
    clip() {
      const size = map.getSize(), x = self.on() ? (size.x * line.value) / 1000 : 0;
      const corner = map.containerPointToLayerPoint([0, 0]);
      for (const id of ids) {
        const pane = map.getPane(id);
        if (!self.on() || left.value === right.value || (id === "image" && !self.sides().includes(id))) {
          pane.style.clip = "";
          continue;
        }
        const from = id === right.value ? x : 0, to = id === left.value ? x : size.x;
        // The image stays beneath what is seen through.
        const [begin, end] = id === "image" ? [0, size.x] : [from, to];
        pane.style.clip = `rect(${corner.y}px, ${corner.x + end}px, ${corner.y + size.y}px, ${corner.x + begin}px)`;
      }
      divider.style.left = `${x}px`;
    },
  };
  box.onchange = () => {
    divider.hidden = line.hidden = $("sides").hidden = !box.checked;
    self.changed();
  };
  line.oninput = self.clip;
  map.on("move resize zoomend viewreset", self.clip);
  return self;
}

// A switch for every class, by value; what adds those that are new.
function legend(layers) {
  const hidden = new Set(), rows = new Map(), every = $("every");
  const redraw = () => {
    const without = hidden.size ? `?without=${[...hidden].join(",")}` : "";
    for (const id of ["mask", "truth", "errors"]) {
      const layer = layers.get(id)?.layer;
      if (layer) { layer.options.without = without; layer.redraw(); }
    }
    every.textContent = hidden.size ? "show all" : "hide all";
  };
  every.onclick = () => {
    const values = hidden.size ? [] : [...rows.keys()];
    hidden.clear();
    values.forEach((value) => hidden.add(value));
    for (const value of rows.keys()) $(`class-${value}`).checked = !hidden.has(value);
    redraw();
  };
  const add = ({ value, name, colour }) => {
    const box = make("input", { type: "checkbox", checked: true, id: `class-${value}` });
    box.onchange = () => {
      box.checked ? hidden.delete(value) : hidden.add(value);
      redraw();
    };
    const share = make("span", { className: "share", id: `share-${value}` });
    const label = make("label", { className: "grow", htmlFor: box.id, textContent: name });
    const row = make("li", { className: "row" }, box, swatch(colour), label, share);
    const after = [...rows.keys()].filter((other) => other > value);
    $("legend").insertBefore(row, after.length ? rows.get(Math.min(...after)) : null);
    rows.set(value, row);
  };
  return (classes) => {
    $("classes").hidden = !classes.length;
    classes.filter(({ value }) => !rows.has(value)).forEach(add);
  };
}

async function count(list) {
  const found = await ask("counted");
  const measured = found.classes.some((each) => each.area);
  list(found.classes);
  for (const { value, share, area: metres2 } of found.classes) {
    const cell = $(`share-${value}`);
    cell.textContent = percent(share);
    if (measured) cell.append(make("small", { textContent: metres2 ? area(metres2) : "" }));
  }
  $("counted").textContent = found.done < 1 ? `counted ${Math.floor(100 * found.done)} %` : "";
  $("wrong").textContent = found.wrong === null ? ""
    : `${(100 * found.wrong).toFixed(2)} % of the known ground differs from the truth`;
  if (found.done < 1) setTimeout(() => count(list), 500);
}

function pointer(map, facts) {
  let wanted = null, asking = false;
  const next = async () => {
    if (asking || !wanted) return;
    const [row, column] = wanted;
    wanted = null;
    asking = true;
    try { told(await ask(`pixel?row=${row}&column=${column}`), row, column); } finally { asking = false; }
    next();
  };
  const told = (found, row, column) => {
    const lines = [["row, column", `${row}, ${column}`]];
    if ("mask" in found) lines.push(["mask", found.mask ?? "no data"]);
    if ("truth" in found) lines.push(["truth", found.truth ?? "unknown"]);
    if ("confidence" in found) {
      const sure = found.confidence;
      lines.push(["confidence", sure === null ? "no data" : `${(100 * sure).toFixed(0)} %`]);
    }
    lines.push(["shown", found.values ? found.values.join(", ") : "no data"]);
    if ("x" in found) lines.push(["x, y", `${found.x.toFixed(2)}, ${found.y.toFixed(2)}`]);
    if ("latitude" in found) lines.push(["lat, lon", degrees(found)]);
    $("pixel").replaceChildren(...lines.flatMap(([name, value]) =>
      [make("dt", { textContent: name }), make("dd", { textContent: value, id: `at-${name.split(",")[0]}` })]));
  };
  map.on("mousemove click", ({ latlng }) => {
    const row = Math.floor(latlng.lat), column = Math.floor(latlng.lng);
    if (row < 0 || column < 0 || row >= facts.height || column >= facts.width) return;
    wanted = [row, column];
    next();
  });
}

function length(metres) {
  if (metres < 1e-3) return `${round(metres * 1e6, 1)} µm`;
  if (metres < 0.1) return `${round(metres * 1e3, 1)} mm`;
  return metres >= 1000 ? `${round(metres / 1000, 1)} km` : `${round(metres, 1)} m`;
}

// A bar of a round length on the ground or the glass.
function scale(map, metres, zooms) {
  const control = L.control({ position: "bottomleft" });
  const bar = make("div", { className: "scale" });
  control.onAdd = () => bar;
  control.addTo(map);
  const draw = () => {
    const each = metres * 2 ** (zooms - map.getZoom()), most = 120 * each;
    const power = 10 ** Math.floor(Math.log10(most));
    const told = power * [5, 2, 1].find((step) => step * power <= most);
    bar.style.width = `${told / each}px`;
    bar.textContent = length(told);
  };
  map.on("zoomend", draw);
  draw();
}

start().catch((error) => { $("about").textContent = String(error); });
