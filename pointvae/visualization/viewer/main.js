// The page as a whole: what is pointed at, what is pinned, which tab is open; and what follows from it.

const theme = {};

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const css = (name) => style.getPropertyValue(name).trim();
  for (const name of ["card", "given", "made", "shadow"]) theme[name] = channelsOf(css(`--${name}`));
  theme.shadowAlpha = Number(css("--shadow-alpha"));
  Object.assign(theme, { cssCard: css("--card"), cssVeil: css("--veil"), cssInk: css("--ink"), cssSoft: css("--soft"), cssGiven: css("--given"), cssMade: css("--made") });
}

class Page {
  constructor() {
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    const at = (id) => document.getElementById(id);
    readTheme();
    Object.assign(this, { at, still, scene: new Scene(), row: -1, pinned: -1, tab: "near" });
    const { scene } = this;
    this.kitchen = scene.live && new Kitchen(scene.live);
    this.made = scene.live && new Float32Array(3 * scene.live.points);
    this.left = new CloudView(at("left"), "given");
    this.right = new CloudView(at("right"), "made");
    this.turntable = new Turntable([this.left, this.right], at("turn"), still.matches);
    this.map = new LatentMap(scene, { dots: at("map-dots"), marks: at("map-marks") }, {
      point: (row) => this.point(row),
      choose: (row) => this.choose(row),
      leave: () => this.point(-1),
      step: (dx, dy) => this.walk(dx, dy),
    });
    this.near = new Near(scene, { css: (row) => this.map.css(row), open: (row) => this.map.open(row), take: (row) => this.take(row), changed: () => this.refresh() });
    this.path = new Path(scene, { changed: () => this.refresh() });
    this.draws = new Draws(scene, this.kitchen, { changed: () => this.refresh() });
    this.search = new Search(scene, {
      match: (matching, told) => this.match(matching, told),
      preview: (row) => this.point(row),
      take: (row) => this.take(row),
    });
    this.legend = new Legend(scene, {
      colour: (css) => this.map.setColours(css),
      filter: (open, some) => this.filter(open, some),
      glance: (open) => this.glance(open),
    });
    this.list = new Table(scene, { open: (row) => this.map.open(row), take: (row) => this.take(row) });
    this.buildMaps();
    this.listen();
    this.found = [];
    this.setMap(scene.maps.length - 1, false);
    at("about").append(...scene.facts.map((fact) => make("li", {}, fact)));
    if (scene.count === 1) this.take(0);
    else this.show(this.map.next(-1, 0, 0));
  }

  buildMaps() {
    const { scene, map, at } = this;
    scene.maps.forEach((one, index) => {
      at("maps").append(make("button", { type: "button", "aria-pressed": "false", onclick: () => this.setMap(index) }, one.name));
    });
    at("map-marks").setAttribute("aria-label", `Latent map of ${scene.count.toLocaleString("en")} shapes`);
    at("zoom-in").addEventListener("click", () => map.zoomBy(1.6));
    at("zoom-out").addEventListener("click", () => map.zoomBy(1 / 1.6));
    at("zoom-all").addEventListener("click", () => map.showAll());
    at("sketches").addEventListener("change", (event) => {
      map.sketches = event.target.checked;
      map.ask();
    });
  }

  setMap(index, animated = !this.still.matches) {
    const { scene } = this;
    [...this.at("maps").children].forEach((button, k) => button.setAttribute("aria-pressed", String(k === index)));
    this.at("map-note").textContent = `${scene.maps[index].name}: ${scene.maps[index].note}.`;
    this.map.setMap(index, animated);
    this.mark();
  }

  // The shape that the views show: the pinned one, else the one pointed at last.
  get shown() {
    return this.pinned >= 0 ? this.pinned : this.row;
  }

  // The pointer is at a shape, or at none: the last one stays.
  point(row) {
    this.tip(row);
    if (row < 0 || row === this.row) return;
    this.show(row);
  }

  show(row) {
    this.row = row;
    this.say(row);
    if (this.pinned < 0) this.refresh();
    else this.mark();
  }

  // A click: pin the shape, let the pinned one go, or take it as an end of the way.
  choose(row) {
    this.tip(-1);
    if (this.tab === "path" && row >= 0) {
      this.row = row;
      this.path.take(row);
      this.refresh();
      return;
    }
    this.pinned = row === this.pinned ? -1 : row;
    if (row >= 0) this.row = row;
    this.say(this.row, this.pinned >= 0 ? "Pinned: " : "");
    this.refresh();
  }

  // Pin a shape that was found elsewhere than on the map.
  take(row) {
    this.map.reveal(row);
    if (this.tab !== "near") this.openTab("near");
    this.pinned = -1;
    this.choose(row);
  }

  walk(dx, dy) {
    const row = this.map.next(this.row, dx, dy);
    if (row < 0) return;
    this.map.reveal(row);
    this.tip(row);
    this.show(row);
  }

  match(matching, told) {
    this.map.matching = matching;
    if (told) this.announce(told);
    this.map.ask();
  }

  glance(open) {
    this.match(open && Uint8Array.from({ length: this.scene.count }, (_, row) => (open(row) ? 1 : 0)), "");
  }

  filter(open, some) {
    const { visible } = this.map;
    let count = 0;
    for (let row = 0; row < visible.length; row++) count += visible[row] = open(row) ? 1 : 0;
    const all = this.scene.count.toLocaleString("en");
    this.at("count").textContent = some ? `${count.toLocaleString("en")} of ${all} shapes` : `${all} ${this.scene.count === 1 ? "shape" : "shapes"}`;
    this.map.matching = null;
    if (this.list) this.announce(this.at("count").textContent);
    this.refresh();
  }

  openTab(tab) {
    this.tab = tab;
    for (const name of ["near", "path", "draws"]) {
      const button = this.at(`tab-${name}`);
      button.setAttribute("aria-selected", String(name === tab));
      button.tabIndex = name === tab ? 0 : -1;
      this.at(`panel-${name}`).hidden = name !== tab;
    }
    if (tab !== "path") this.path.setPlaying(false);
    if (tab === "path" && this.path.ends.length === 0 && this.shown >= 0) this.path.take(this.shown);
    if (tab === "draws" && !this.draws.drawn) this.draws.next();
    this.refresh();
  }

  refresh() {
    if (!this.list) return; // the page is still being built
    const { scene, path, draws } = this;
    if (this.tab === "path" && path.ready) this.showPath();
    else if (this.tab === "draws" && draws.chosen >= 0) this.showDraw();
    else this.showShape(this.shown);
    const pin = this.at("pin");
    pin.disabled = this.shown < 0 || this.tab !== "near";
    pin.setAttribute("aria-pressed", String(this.pinned >= 0));
    pin.textContent = this.pinned >= 0 ? "Pinned" : "Pin";
    clearTimeout(this.later);
    this.found = [];
    const look = () => {
      this.found = this.tab === "near" && this.shown >= 0 ? this.near.of(this.shown) : [];
      if (this.tab === "near") this.near.show(this.found);
      this.mark();
    };
    if (this.tab === "near") this.later = setTimeout(look, 70);
    this.mark();
    this.turntable.ask();
    this.settled = scene.count;
  }

  mark() {
    const path = this.tab === "path";
    const at = path && this.path.ready ? this.path.latent : this.tab === "draws" && this.draws.chosen >= 0 ? this.draws.latent(this.draws.chosen) : null;
    this.map.shown = {
      row: this.row,
      pinned: this.pinned,
      near: this.found.map(({ row }) => row),
      ends: path ? this.path.ends.filter((row) => row >= 0) : [],
      at: at && this.scene.project(this.scene.maps[this.map.map], at),
    };
    this.map.ask();
  }

  tip(row) {
    const tip = this.at("tip");
    tip.hidden = row < 0;
    if (row < 0) return;
    const { scene, map, legend } = this;
    const [x, y] = map.pixelOf(row);
    tip.replaceChildren(nameElement(short(scene.names[row]), "strong"), make("span", {}, nameElement(scene.told(legend.column, row))));
    tip.style.left = `${Math.min(Math.max(x, 80), map.box.width - 80)}px`;
    tip.style.top = `${y}px`;
    tip.classList.toggle("below", y < 70);
  }

  say(row, before = "") {
    if (row < 0) return;
    const { scene } = this;
    const known = scene.columns.slice(0, 4).map((column) => [column.told, scene.told(column, row)]);
    this.announce([before + scene.names[row], ...known.filter(([, v]) => v).map(([told, value]) => `${told} ${value}`)].join(", "));
  }

  announce(text) {
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (this.at("live").textContent = text), 150);
  }
}
