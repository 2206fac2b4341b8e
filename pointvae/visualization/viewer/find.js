// Search, colours and the legend, which filters.

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

class Search {
  constructor(scene, on) {
    Object.assign(this, { scene, on, found: [], active: -1 });
    this.input = document.getElementById("search");
    this.list = document.getElementById("results");
    this.input.addEventListener("input", () => this.look());
    this.input.addEventListener("focus", () => this.input.value && this.look());
    this.input.addEventListener("blur", () => this.close());
    this.input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && this.found.length) {
        event.preventDefault();
        this.activate((this.active + step + this.found.length) % this.found.length);
      } else if (event.key === "Enter" && this.found.length) {
        event.preventDefault();
        this.take(this.found[Math.max(0, this.active)]);
      } else if (event.key === "Escape") {
        event.stopPropagation();
        this.clear();
        this.input.blur();
      }
    });
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus in the field
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.take(Number(option.dataset.row));
    });
  }

  // What is searched of each shape, made at the first search: its name, categories and texts.
  get texts() {
    const columns = this.scene.columns.filter((column) => column.kind !== "numbers");
    this.made ??= this.scene.names.map((name, row) => plain([name, ...columns.map((c) => this.scene.told(c, row))].join("\n")));
    return this.made;
  }

  look() {
    const words = plain(this.input.value).split(/\s+/).filter(Boolean);
    if (!words.length) return this.clear(false);
    const matching = new Uint8Array(this.scene.count);
    const rows = [];
    for (let row = 0; row < this.scene.count; row++) {
      if (words.every((word) => this.texts[row].includes(word))) {
        matching[row] = 1;
        rows.push(row);
      }
    }
    this.found = rows.slice(0, 50);
    this.active = -1;
    this.list.replaceChildren(
      ...this.found.map((row, k) => {
        const about = this.scene.columns.find((column) => column.kind === "categories");
        const option = make("li", { role: "option", id: `found-${k}`, "aria-selected": "false", title: this.scene.names[row] }, nameElement(short(this.scene.names[row])));
        if (about) option.append(make("small", {}, nameElement(this.scene.told(about, row))));
        option.dataset.row = row;
        return option;
      }),
    );
    const told = rows.length ? `${rows.length.toLocaleString("en")} found` : "Nothing found";
    this.list.append(make("li", { role: "presentation", class: "note" }, rows.length > 50 ? `${told}, the first 50 listed` : told));
    this.open(true);
    this.on.match(matching, `${told}`);
  }

  open(on) {
    this.list.hidden = !on;
    this.input.setAttribute("aria-expanded", String(on));
    if (!on) this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    this.open(false);
  }

  activate(k) {
    this.active = k;
    [...this.list.querySelectorAll("[role=option]")].forEach((option, i) => option.setAttribute("aria-selected", String(i === k)));
    this.input.setAttribute("aria-activedescendant", `found-${k}`);
    document.getElementById(`found-${k}`).scrollIntoView({ block: "nearest" });
    this.on.preview(this.found[k]);
  }

  take(row) {
    this.clear();
    this.input.blur();
    this.on.take(row);
  }

  clear(empty = true) {
    if (empty) this.input.value = "";
    this.found = [];
    this.close();
    this.on.match(null, "");
  }
}

class Legend {
  constructor(scene, on) {
    Object.assign(this, { scene, on, chosen: new Set() });
    this.element = document.getElementById("legend");
    this.select = document.getElementById("colour");
    const usable = scene.columns.map((column, index) => [column, index]).filter(([column]) => column.kind !== "texts");
    this.select.append(...usable.map(([column, index]) => make("option", { value: index }, column.told)));
    this.select.addEventListener("change", () => this.show(Number(this.select.value)));
    this.show(usable[0][1]);
  }

  show(index) {
    this.column = this.scene.columns[index];
    this.chosen.clear();
    const { column } = this;
    this.css = column.kind === "numbers" ? this.ramp(column) : (row) => column.colours[column.values[row]] ?? "#8a9199";
    this.element.replaceChildren(...(column.kind === "numbers" ? this.scaleElements() : this.chips()));
    this.on.colour(this.css);
    this.filter();
  }

  // Colours between the second and the ninety-eighth hundredth of the values.
  ramp(column) {
    const known = column.values.filter((value) => !Number.isNaN(value)).sort();
    const at = (share) => known[Math.round(share * (known.length - 1))] ?? 0;
    this.range = { low: at(0.02), high: at(0.98), least: at(0), most: at(1), known: known.length };
    const { low, high } = this.range;
    const colours = Array.from({ length: 64 }, (_, k) => {
      const place = (k / 63) * (this.scene.ramp.length - 1);
      const [a, b] = [Math.floor(place), Math.ceil(place)].map((i) => channelsOf(this.scene.ramp[i]));
      return `#${a.map((v, i) => Math.round(v + (place % 1) * (b[i] - v)).toString(16).padStart(2, "0")).join("")}`;
    });
    return (row) => {
      const value = column.values[row];
      if (Number.isNaN(value)) return "#8a9199";
      return colours[Math.round(63 * Math.min(1, Math.max(0, (value - low) / (high - low || 1))))];
    };
  }

  scaleElements() {
    const { low, high, least, most, known } = this.range;
    const bar = make("span", { class: "ramp" });
    bar.style.background = `linear-gradient(90deg, ${this.scene.ramp.join(", ")})`;
    const ends = [low > least ? `≤ ${format(low)}` : format(low), high < most ? `≥ ${format(high)}` : format(high)];
    const missing = this.scene.count - known;
    const scale = make("span", { class: "scale", role: "img", "aria-label": `${this.column.told}, from ${ends[0]} to ${ends[1]}` }, make("span", {}, ends[0]), bar, make("span", {}, ends[1]));
    return missing ? [scale, make("span", { class: "note" }, `${missing.toLocaleString("en")} unknown, in grey`)] : [scale];
  }

  chips() {
    const { column } = this;
    const counts = new Array(column.categories.length).fill(0);
    for (const value of column.values) if (value >= 0) counts[value]++;
    return column.categories.map((name, kind) => {
      const spot = make("span", { class: "spot" });
      spot.style.background = column.colours[kind];
      const chip = make("button", { type: "button", "aria-pressed": "false", title: `${name}: ${counts[kind].toLocaleString("en")}`, onclick: () => this.toggle(kind) }, spot, nameElement(name));
      chip.addEventListener("pointerenter", () => this.on.glance((row) => column.values[row] === kind));
      chip.addEventListener("pointerleave", () => this.on.glance(null));
      return chip;
    });
  }

  toggle(kind) {
    if (!this.chosen.delete(kind)) this.chosen.add(kind);
    this.filter();
  }

  filter() {
    const { chosen, column } = this;
    [...this.element.querySelectorAll("button")].forEach((chip, kind) => chip.setAttribute("aria-pressed", String(chosen.has(kind))));
    this.on.filter(chosen.size ? (row) => chosen.has(column.values[row]) : () => true, chosen.size > 0);
  }

  reset() {
    this.chosen.clear();
    this.filter();
  }
}
