"use strict";
// Meridians and parallels over what is seen of the raster; labels where they leave it.

function grid(map, facts) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const layer = make("div", { id: "grid", hidden: true }), box = $("gridded");
  layer.append(svg);
  map.getContainer().append(layer);
  $("degrees").hidden = false;
  let lines = [], latest = 0;

  // The part of the screen that shows the raster.
  const seen = () => {
    const size = map.getSize();
    const begin = map.latLngToContainerPoint([0, 0]);
    const end = map.latLngToContainerPoint([facts.height, facts.width]);
    return {
      left: Math.max(0, begin.x), top: Math.max(0, begin.y),
      right: Math.min(size.x, end.x), bottom: Math.min(size.y, end.y),
    };
  };
  const draw = () => {
    // As Leaflet's own, but not to whole pixels of the screen.
    const origin = map.layerPointToContainerPoint([0, 0]).subtract(map.getPixelOrigin());
    const screen = seen(), taken = [...map.getContainer().querySelectorAll(".leaflet-control")]
      .map((control) => control.getBoundingClientRect());
    layer.querySelectorAll("span").forEach((label) => label.remove());
    const drawn = lines.map(({ label, points }) => {
      const places = points.map(([column, row]) => map.project([row, column]).add(origin));
      const parts = places.slice(1).map((to, i) => within(screen, places[i], to)).filter(Boolean);
      if (parts.length) written(layer, screen, label, [parts[0][0], parts.at(-1)[1]], taken);
      return parts.map(([from, to]) => `M${from.x} ${from.y}L${to.x} ${to.y}`).join("");
    }).join("");
    svg.replaceChildren(...["under", "over"].map((name) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("class", name);
      path.setAttribute("d", drawn);
      return path;
    }));
  };
  const renew = async () => {
    if (!box.checked) return;
    const mine = ++latest, { left, top, right, bottom } = seen();
    if (right <= left || bottom <= top) return;
    const begin = map.containerPointToLatLng([left, top]);
    const end = map.containerPointToLatLng([right, bottom]);
    const asked = { top: begin.lat, left: begin.lng, bottom: end.lat, right: end.lng };
    const told = Object.entries(asked).map(([side, value]) => `${side}=${value.toFixed(4)}`);
    const found = await ask(`grid?${told.join("&")}`);
    if (mine !== latest) return;
    lines = found;
    layer.hidden = !box.checked;
    draw();
  };
  box.onchange = () => { layer.hidden = true; renew(); };
  map.on("move", () => { if (!layer.hidden) draw(); });
  map.on("zoomstart", () => { layer.hidden = true; });
  map.on("moveend resize", renew);
}

// A label at one end of a line, unless something else is at both.
function written(layer, screen, text, ends, taken) {
  const label = make("span", { textContent: text }), origin = layer.getBoundingClientRect();
  layer.hidden = false;
  layer.append(label);
  const { width, height } = label.getBoundingClientRect();
  const clear = ({ x, y }) => {
    const left = Math.max(screen.left + 2, Math.min(x - width / 2, screen.right - width - 2));
    const top = Math.max(screen.top + 2, Math.min(y - height / 2, screen.bottom - height - 2));
    const place = {
      left: origin.left + left, top: origin.top + top,
      right: origin.left + left + width, bottom: origin.top + top + height,
    };
    if (left + width > screen.right || top + height > screen.bottom) return false;
    if (taken.some((other) => place.left < other.right + 4 && place.right > other.left - 4
      && place.top < other.bottom + 2 && place.bottom > other.top - 2)) return false;
    label.style.left = `${left}px`;
    label.style.top = `${top}px`;
    taken.push(place);
    return true;
  };
  if (!ends.some(clear)) label.remove();
}

// The part of a straight line that is in a rectangle; null: none is.
function within({ left, top, right, bottom }, from, to) {
  const dx = to.x - from.x, dy = to.y - from.y;
  let first = 0, last = 1;
  for (const [step, room] of [
    [-dx, from.x - left], [dx, right - from.x], [-dy, from.y - top], [dy, bottom - from.y],
  ]) {
    if (step === 0 && room < 0) return null;
    if (step < 0) first = Math.max(first, room / step);
    if (step > 0) last = Math.min(last, room / step);
  }
  if (first >= last) return null;
  const at = (share) => ({ x: from.x + share * dx, y: from.y + share * dy });
  return [at(first), at(last)];
}
