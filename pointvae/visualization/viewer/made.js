// What is made of latents: neighbours, the way between two shapes, draws from the prior.

// Decodes in slices of a frame, the newest wish for each place only.
class Kitchen {
  constructor(decoder) {
    this.decoder = decoder;
    this.wishes = new Map();
  }

  // Decode `z` into `out`; `done(points)` is called whenever some more points are ready.
  ask(place, z, out, done) {
    this.wishes.delete(place);
    this.wishes.set(place, { work: new Decoding(this.decoder, z, out), done });
    if (this.asked) return;
    this.cook();
  }

  forget(place) {
    this.wishes.delete(place);
  }

  cook() {
    this.asked = 0;
    const end = performance.now() + 9;
    for (const [place, wish] of this.wishes) {
      if (wish.work.run(Math.max(0.5, end - performance.now()))) this.wishes.delete(place);
      wish.done(wish.work.done);
      if (performance.now() > end) break;
    }
    if (this.wishes.size) this.asked = requestAnimationFrame(() => this.cook());
  }
}

const TILE = 84;

// A button that shows a cloud small.
function tile(label, drawing, told, onclick) {
  const button = make("button", { type: "button", "aria-label": label, title: label, onclick });
  button.append(drawing, make("span", { "aria-hidden": "true" }, nameElement(told)));
  return make("li", {}, button);
}

class Near {
  constructor(scene, on) {
    Object.assign(this, { scene, on });
    this.list = document.getElementById("near");
    this.metric = document.getElementById("metric");
    this.metric.addEventListener("change", () => on.changed());
  }

  // The twelve shapes nearest to a shape, of those that are not filtered out.
  of(row) {
    const allowed = (other) => other !== row && this.on.open(other);
    return nearest(this.scene.latents, this.scene.dims, this.scene.latent(row), 12, this.metric.value, allowed);
  }

  show(found) {
    this.list.replaceChildren(
      ...found.map(({ row, distance }) => {
        const drawing = picture(this.scene.cloud(row), this.scene.ball(row), TILE, this.on.css(row));
        const name = this.scene.names[row];
        return tile(`${name}, distance ${format(distance)}`, drawing, short(name), () => this.on.take(row));
      }),
    );
  }
}

class Path {
  constructor(scene, on) {
    Object.assign(this, { scene, on, ends: [], armed: 0 });
    this.buttons = [0, 1].map((k) => document.getElementById(`end-${k}`));
    this.slider = document.getElementById("share");
    this.play = document.getElementById("play");
    this.slider.addEventListener("input", () => this.changed());
    this.buttons.forEach((button, k) => button.addEventListener("click", () => this.arm(k)));
    this.play.addEventListener("click", () => this.setPlaying(!this.playing));
    this.out = new Float32Array(3 * (scene.live ? scene.live.points : 1));
    this.show();
  }

  get ready() {
    return this.ends[0] >= 0 && this.ends[1] >= 0;
  }

  get share() {
    return this.slider.value / 100;
  }

  get latent() {
    return mix(this.scene.latent(this.ends[0]), this.scene.latent(this.ends[1]), this.share);
  }

  arm(k) {
    this.armed = k;
    this.show();
  }

  // Take a shape as the end whose turn it is.
  take(row) {
    if (this.ends[1 - this.armed] === row) return;
    this.ends[this.armed] = row;
    this.armed = 1 - this.armed;
    this.show();
    this.changed();
  }

  show() {
    this.buttons.forEach((button, k) => {
      const row = this.ends[k] ?? -1;
      const told = k ? "End" : "Start";
      button.replaceChildren();
      if (row >= 0) button.append(picture(this.scene.cloud(row), this.scene.ball(row), 64, theme.cssGiven));
      button.append(make("span", {}, `${told}: `, row >= 0 ? nameElement(short(this.scene.names[row])) : "pick a shape"));
      button.classList.toggle("armed", this.armed === k);
      button.setAttribute("aria-pressed", String(this.armed === k));
    });
    this.slider.disabled = this.play.disabled = !this.ready;
    const how = this.scene.live
      ? "Latents on the straight line between the two, decoded here by the trained decoder."
      : "This decoder does not run in a page: at each step of the straight line stands the reconstruction of the shape nearest to it.";
    document.getElementById("path-note").textContent = this.ready ? how : `Pick two shapes on the map, or press i on each. ${how}`;
  }

  changed() {
    if (!this.ready) return;
    this.slider.setAttribute("aria-valuetext", `${this.slider.value} per cent of the way`);
    this.on.changed();
  }

  setPlaying(on) {
    this.playing = on && this.ready;
    this.play.setAttribute("aria-pressed", String(this.playing));
    this.play.textContent = this.playing ? "Pause" : "Play";
    let before = performance.now();
    const step = (now) => {
      if (!this.playing) return;
      this.phase = ((this.phase ?? this.share) + Math.max(0, now - before) / 5000) % 2;
      before = now;
      this.slider.value = Math.round(100 * (this.phase < 1 ? this.phase : 2 - this.phase));
      this.changed();
      requestAnimationFrame(step);
    };
    this.phase = this.share;
    if (this.playing) requestAnimationFrame(step);
  }
}

class Draws {
  constructor(scene, kitchen, on) {
    Object.assign(this, { scene, kitchen, on, start: 0, chosen: -1, many: 8 });
    this.list = document.getElementById("draws");
    this.more = document.getElementById("draw-more");
    this.more.addEventListener("click", () => this.next());
    document.getElementById("draws-note").textContent = scene.live
      ? "Latents drawn from the prior, decoded here."
      : `Latents drawn from the prior, ${scene.made.samples} of them decoded beforehand.`;
  }

  next() {
    if (this.drawn) this.start += this.many;
    if (!this.scene.live && this.start + this.many > this.scene.made.samples) this.start = 0;
    this.chosen = -1;
    this.show();
    this.choose(this.start);
  }

  latent(number) {
    if (this.scene.live) return normals(number + 1, this.scene.dims);
    this.stored ??= floatsOf(this.scene.blob("sample-latents"));
    return this.stored.subarray(number * this.scene.dims, (number + 1) * this.scene.dims);
  }

  show() {
    this.drawn = true;
    this.list.replaceChildren();
    for (let k = 0; k < this.many; k++) {
      const number = this.start + k;
      const drawing = make("canvas", { "aria-hidden": "true" });
      const item = tile(`Sample ${number + 1}`, drawing, String(number + 1), () => this.choose(number));
      this.list.append(item);
      const put = (points) => item.querySelector("canvas").replaceWith(picture(points, ballOf(points), TILE, theme.cssMade));
      if (this.scene.live) {
        const out = new Float32Array(3 * this.scene.live.points);
        this.kitchen.ask(`tile ${k}`, this.latent(number), out, (done) => done === this.scene.live.points && put(out));
      } else put(this.scene.stored("samples", number));
    }
  }

  choose(number) {
    this.chosen = number;
    [...this.list.querySelectorAll("button")].forEach((button, k) => button.setAttribute("aria-pressed", String(this.start + k === number)));
    this.on.changed();
  }
}
