// The latent map: dots by column, pan and zoom, the nearest shape under the pointer, small drawings where there is room.

const SKETCH = 48;

class LatentMap {
  constructor(scene, elements, on) {
    Object.assign(this, { scene, on, canvas: elements.dots, marks: elements.marks });
    this.dots = new Dots(elements.dots);
    this.dots.room(scene.count);
    this.over = elements.marks.getContext("2d");
    this.places = Float32Array.from(scene.maps[0].places);
    this.visible = new Uint8Array(scene.count).fill(1);
    this.matching = null;
    this.colours = new Uint32Array(scene.count);
    this.css = (_row) => "#888";
    this.order = Uint32Array.from({ length: scene.count }, (_, i) => i);
    for (let i = scene.count - 1, state = 7; i > 0; i--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // mixed, so that no class hides the others
      const j = state % (i + 1);
      [this.order[i], this.order[j]] = [this.order[j], this.order[i]];
    }
    this.rank = new Uint32Array(scene.count);
    this.order.forEach((row, rank) => (this.rank[row] = rank));
    this.map = 0;
    this.view = { x: 0, y: 0, zoom: 1 };
    this.shown = { row: -1, pinned: -1, near: [], ends: [], at: null };
    this.drawings = new Map();
    this.sketches = true;
    this.asked = 0;
    this.listen();
    new ResizeObserver(() => this.ask()).observe(this.marks);
  }

  get box() {
    this.size ??= { width: this.marks.clientWidth, height: this.marks.clientHeight };
    return this.size;
  }

  // Pixels for one unit of the map at no zoom, such that all of it fits.
  get unit() {
    const places = this.scene.maps[this.map].places;
    this.reach ??= [0, 1].map((axis) => places.reduce((most, v, i) => (i % 2 === axis ? Math.max(most, Math.abs(v)) : most), 0.05));
    const { width, height } = this.box;
    return Math.max(1, Math.min((width / 2 - 30) / this.reach[0], (height / 2 - 30) / this.reach[1]));
  }

  pixel(x, y) {
    const scale = this.unit * this.view.zoom;
    return [this.box.width / 2 + (x - this.view.x) * scale, this.box.height / 2 - (y - this.view.y) * scale];
  }

  pixelOf(row) {
    return this.pixel(this.places[2 * row], this.places[2 * row + 1]);
  }

  ask() {
    this.size = null;
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  setMap(index, animated) {
    const from = Float32Array.from(this.places);
    const to = this.scene.maps[index].places;
    this.map = index;
    this.reach = null;
    this.view = { x: 0, y: 0, zoom: 1 };
    const start = performance.now();
    const step = () => {
      const share = animated ? Math.min(1, (performance.now() - start) / 600) : 1;
      const eased = share * share * (3 - 2 * share);
      for (let i = 0; i < to.length; i++) this.places[i] = from[i] + eased * (to[i] - from[i]);
      this.moving = share < 1;
      this.ask();
      if (share < 1 && this.map === index) requestAnimationFrame(step);
    };
    step();
  }

  // Colour number i of the dots is little-endian r, g, b.
  setColours(css) {
    this.css = css;
    const words = new Map();
    for (let row = 0; row < this.scene.count; row++) {
      const hex = css(row);
      if (!words.has(hex)) {
        const [r, g, b] = channelsOf(hex);
        words.set(hex, r | (g << 8) | (b << 16));
      }
      this.colours[row] = words.get(hex);
    }
    this.drawings.clear();
    this.ask();
  }

  open(row) {
    return this.visible[row] === 1;
  }

  draw() {
    const { scene, dots, places } = this;
    const scale = this.unit * this.view.zoom;
    const { width, height } = this.box;
    const base = Math.min(6, Math.max(1.6, 26 / Math.sqrt(Math.sqrt(scene.count)) / 1.55));
    const radius = Math.min(7, base * Math.sqrt(Math.sqrt(this.view.zoom)));
    let count = 0;
    for (let k = 0; k < scene.count; k++) {
      const row = this.order[k];
      const x = width / 2 + (places[2 * row] - this.view.x) * scale;
      const y = height / 2 - (places[2 * row + 1] - this.view.y) * scale;
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      const open = this.visible[row] && (!this.matching || this.matching[row]);
      dots.dots[4 * count] = x;
      dots.dots[4 * count + 1] = y;
      dots.dots[4 * count + 2] = open ? radius : 0.8 * radius;
      dots.dots[4 * count + 3] = FLAT;
      dots.words[count++] = (this.colours[row] | ((open ? 205 : 20) << 24)) >>> 0;
    }
    dots.draw(count);
    this.drawMarks(radius);
  }

  drawMarks(radius) {
    const { over, marks, shown } = this;
    const { width, height } = this.box;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (marks.width !== Math.round(width * ratio) || marks.height !== Math.round(height * ratio)) {
      marks.width = Math.round(width * ratio);
      marks.height = Math.round(height * ratio);
    }
    over.setTransform(ratio, 0, 0, ratio, 0, 0);
    over.clearRect(0, 0, width, height);
    if (this.sketches && !this.moving) this.drawSketches();
    const line = (from, to) => {
      over.beginPath();
      over.moveTo(...from);
      over.lineTo(...to);
      over.stroke();
    };
    const ring = (at, size, thick, colour) => {
      for (const [lineWidth, style] of [[thick + 2, theme.cssCard], [thick, colour]]) {
        Object.assign(over, { lineWidth, strokeStyle: style });
        over.beginPath();
        over.arc(...at, size, 0, 7);
        over.stroke();
      }
    };
    const middle = shown.pinned >= 0 ? shown.pinned : shown.row;
    Object.assign(over, { lineWidth: 1, strokeStyle: theme.cssSoft });
    if (middle >= 0) for (const row of shown.near) line(this.pixelOf(middle), this.pixelOf(row));
    for (const row of shown.near) ring(this.pixelOf(row), radius + 1.5, 1, theme.cssSoft);
    if (shown.ends.length === 2 && this.scene.maps[this.map].axes) {
      Object.assign(over, { lineWidth: 2, strokeStyle: theme.cssMade });
      line(...shown.ends.map((row) => this.pixelOf(row)));
    }
    for (const row of shown.ends) ring(this.pixelOf(row), radius + 4, 2, theme.cssMade);
    if (shown.at) ring(this.pixel(...shown.at), 6, 3, theme.cssMade);
    if (shown.pinned >= 0) ring(this.pixelOf(shown.pinned), radius + 5, 3, theme.cssInk);
    if (shown.row >= 0) ring(this.pixelOf(shown.row), radius + 3, 2, theme.cssInk);
  }

  // In each cell of a grid that stays with the map one shape is drawn, unless it would touch one drawn already.
  drawSketches() {
    const { scene, over } = this;
    const scale = this.unit * this.view.zoom;
    const cell = (SKETCH * 1.8) / this.unit / 2 ** (Math.floor(2 * Math.log2(this.view.zoom)) / 2);
    const { width, height } = this.box;
    const first = new Map();
    for (let row = 0; row < scene.count; row++) {
      if (!this.visible[row] || (this.matching && !this.matching[row])) continue;
      const key = Math.floor(this.places[2 * row] / cell) * 65536 + Math.floor(this.places[2 * row + 1] / cell);
      const other = first.get(key);
      if (other === undefined || this.rank[row] < this.rank[other]) first.set(key, row);
    }
    const drawn = [];
    for (const row of [...first.values()].sort((a, b) => this.rank[a] - this.rank[b])) {
      const [x, y] = [this.places[2 * row] * scale, this.places[2 * row + 1] * scale];
      if (drawn.some(([u, v]) => Math.abs(x - u) < SKETCH && Math.abs(y - v) < SKETCH)) continue;
      drawn.push([x, y]);
      const [px, py] = this.pixelOf(row);
      if (px < -SKETCH || py < -SKETCH || px > width + SKETCH || py > height + SKETCH) continue;
      if (!this.drawings.has(row)) {
        if (this.drawings.size > 800) this.drawings.clear();
        this.drawings.set(row, picture(scene.cloud(row), scene.ball(row), SKETCH * 0.86, this.css(row)));
      }
      Object.assign(over, { fillStyle: theme.cssVeil, strokeStyle: this.css(row), lineWidth: 1.5 });
      over.beginPath();
      over.arc(px, py, SKETCH / 2 - 1, 0, 7);
      over.fill();
      over.stroke();
      over.drawImage(this.drawings.get(row), px - 0.43 * SKETCH, py - 0.43 * SKETCH, 0.86 * SKETCH, 0.86 * SKETCH);
    }
  }

  // The visible shape nearest to a pixel, within so many pixels; -1 for none.
  pick(x, y, within = 28) {
    let best = -1;
    const scale = this.unit * this.view.zoom;
    const left = this.box.width / 2 - this.view.x * scale - x;
    const top = this.box.height / 2 + this.view.y * scale - y;
    let least = within * within;
    for (let row = 0; row < this.scene.count; row++) {
      if (!this.visible[row]) continue;
      const away = (left + this.places[2 * row] * scale) ** 2 + (top - this.places[2 * row + 1] * scale) ** 2;
      if (away < least) [best, least] = [row, away];
    }
    return best;
  }

  // The next visible shape from one in a direction, sideways counted threefold.
  next(row, dx, dy) {
    const [x, y] = row < 0 ? [this.box.width / 2, this.box.height / 2] : this.pixelOf(row);
    if (row < 0) return this.pick(x, y, Infinity);
    let best = row;
    let least = Infinity;
    for (let other = 0; other < this.scene.count; other++) {
      if (other === row || !this.visible[other]) continue;
      const [px, py] = this.pixelOf(other);
      const ahead = (px - x) * dx + (py - y) * dy;
      const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      if (ahead > 0.01 && ahead + 3 * aside < least) [best, least] = [other, ahead + 3 * aside];
    }
    return best;
  }
}
