"use strict";
// Where a view is, in the address after #, so that it can be kept and sent. Of a raster on the Earth
// it is zoom, latitude and longitude as web maps have them, and fits any raster of the place; else
// the page's own zoom, row and column.

const EQUATOR = 2 * Math.PI * 6378137 / 256; // metres of a web map's pixel at zoom 0

async function remembered(map, facts) {
  const { width, height, zooms, placed } = facts;
  const show = async ([zoom, first, second]) => {
    if (!placed) return map.setView([first, second], zoom);
    const found = Math.abs(first) <= 90 && await ask(`raster?${where(first, second)}`);
    if (!found) return null;
    const { row, column, metres } = found;
    if (row < 0 || column < 0 || row > height || column > width) return null;
    return map.setView([row, column], zoom + zooms - webZoom(first, metres));
  };
  const told = location.hash.slice(1).split("/").map(Number);
  const usable = told.length === 3 && told.every((each) => Math.abs(each) < 1e8);
  if (!usable || !await show(told)) map.fitBounds([[0, 0], [height, width]]);

  let latest = 0;
  map.on("moveend", async () => {
    const { lat: row, lng: column } = map.getCenter(), zoom = map.getZoom(), mine = ++latest;
    let place = `${zoom}/${row.toFixed(1)}/${column.toFixed(1)}`;
    if (placed) {
      const found = await ask(`earth?row=${row.toFixed(6)}&column=${column.toFixed(6)}`);
      if (!found || mine !== latest) return;
      const { latitude, longitude, metres } = found;
      const web = zoom - zooms + webZoom(latitude, metres), digits = digitsOf((metres * 2 ** (zooms - zoom)) / 100);
      place = `${web.toFixed(2)}/${latitude.toFixed(digits)}/${longitude.toFixed(digits)}`;
    }
    history.replaceState(null, "", `#${place}`);
  });
}

// The zoom at which a web map has pixels of so many metres.
const webZoom = (latitude, metres) =>
  Math.log2((EQUATOR * Math.cos((latitude * Math.PI) / 180)) / metres);

// Decimals of degrees that tell so many metres apart.
const digitsOf = (metres) => Math.min(12, Math.max(2, Math.ceil(-Math.log10(metres / 111000))));

const where = (latitude, longitude) =>
  `latitude=${latitude.toFixed(12)}&longitude=${longitude.toFixed(12)}`;

function degrees({ latitude, longitude, metres }) {
  const digits = Math.max(6, digitsOf(metres));
  return `${latitude.toFixed(digits)}, ${longitude.toFixed(digits)}`;
}

// What was clicked stays, to be copied; what is under the pointer goes with it.
function clicked(map) {
  map.on("click", async ({ latlng: { lat: row, lng: column } }) => {
    const found = await ask(`earth?row=${row.toFixed(3)}&column=${column.toFixed(3)}`);
    $("clicked").hidden = !found;
    if (found) $("clicked-at").textContent = degrees(found);
  });
  $("copy").onclick = async () => {
    await navigator.clipboard.writeText($("clicked-at").textContent);
    $("copy").textContent = "copied";
    setTimeout(() => { $("copy").textContent = "copy"; }, 1500);
  };
}
