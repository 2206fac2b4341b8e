// The scene in the page's elements, decoded when asked for and no sooner.

class Scene {
  constructor() {
    Object.assign(this, JSON.parse(document.getElementById("scene").textContent));
    this.count = this.names.length;
    this.texts = {};
    this.frames = floatsOf(this.blob("cloud-frames"));
    this.maps.forEach((map, index) => (map.places = floatsOf(this.blob(`map-${index}`))));
    this.columns.forEach((column, index) => {
      if (column.kind === "numbers") column.values = floatsOf(this.blob(`column-${index}`));
      if (column.kind === "categories") column.values = shortsOf(this.blob(`column-${index}`));
      if (column.kind === "texts") column.values = column.texts;
    });
    this.live = this.decoder ? makeDecoder(this.decoder) : null;
    this.kept = new Map();
    this.byName = null;
  }

  blob(id) {
    return (this.texts[id] ??= document.getElementById(id).textContent);
  }

  get latents() {
    this.unpacked ??= latentsOf(this.blob("latents"), floatsOf(this.blob("latent-scale")), this.dims);
    return this.unpacked;
  }

  latent(row) {
    return this.latents.subarray(row * this.dims, (row + 1) * this.dims);
  }

  // The cloud of a shape; the last few hundred are kept.
  cloud(row) {
    let cloud = this.kept.get(row);
    if (!cloud) {
      cloud = cloudOf(this.blob("clouds"), this.frames, this.points, row);
      if (this.kept.size > 400) this.kept.delete(this.kept.keys().next().value);
      this.kept.set(row, cloud);
    }
    return cloud;
  }

  ball(row) {
    return this.frames.subarray(4 * row, 4 * row + 4);
  }

  // A reconstruction or a draw from the prior that was made beforehand.
  stored(kind, row) {
    this[`${kind}Frames`] ??= floatsOf(this.blob(`${kind}-frames`));
    return cloudOf(this.blob(kind), this[`${kind}Frames`], this.made.points, row);
  }

  // The value of a column in words; nothing where it is unknown.
  told(column, row) {
    const value = column.values[row];
    if (column.kind === "numbers") return Number.isNaN(value) ? "" : format(value);
    if (column.kind === "categories") return value < 0 ? "" : column.categories[value];
    return value;
  }

  // The place of a latent on a map that is linear; null on others.
  project(map, z) {
    if (!map.axes) return null;
    const place = [map.axes[this.dims][0], map.axes[this.dims][1]];
    for (let d = 0; d < this.dims; d++) {
      place[0] += z[d] * map.axes[d][0];
      place[1] += z[d] * map.axes[d][1];
    }
    return place;
  }
}

function format(value) {
  if (value === 0 || (Number.isInteger(value) && Math.abs(value) < 1e6)) return String(value);
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

// The last part of a path-like name: what tells it from its neighbours.
const short = (name) => name.slice(name.lastIndexOf("/", name.length - 2) + 1);

// Names may hold marks that turn the direction of writing, and line breaks: shown as they are, in a box of their own.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const nameElement = (text, tag = "bdi") => make(tag, tag === "bdi" ? {} : { dir: "auto" }, text);
