// How the map is moved: wheel, drag, two fingers, keys; and how a shape is pointed at.

Object.assign(LatentMap.prototype, {
  zoomBy(factor, x = this.box.width / 2, y = this.box.height / 2) {
    const zoom = Math.min(400, Math.max(0.6, this.view.zoom * factor));
    const scale = this.unit * this.view.zoom;
    const after = this.unit * zoom;
    const [dx, dy] = [x - this.box.width / 2, this.box.height / 2 - y];
    this.view = { x: this.view.x + dx / scale - dx / after, y: this.view.y + dy / scale - dy / after, zoom };
    this.ask();
  },

  panBy(dx, dy) {
    const scale = this.unit * this.view.zoom;
    this.view = { ...this.view, x: this.view.x - dx / scale, y: this.view.y + dy / scale };
    this.ask();
  },

  showAll() {
    this.view = { x: 0, y: 0, zoom: 1 };
    this.ask();
  },

  // Bring a shape into the picture if it is outside.
  reveal(row) {
    const [x, y] = this.pixelOf(row);
    const { width, height } = this.box;
    if (x < 20 || y < 20 || x > width - 20 || y > height - 20) this.panBy(width / 2 - x, height / 2 - y);
  },

  listen() {
    const fingers = new Map();
    let moved = 0;
    const place = (event) => {
      const box = this.marks.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.marks.addEventListener("wheel", (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode ? 30 : 1);
      this.zoomBy(Math.exp(-Math.max(-200, Math.min(200, pixels)) * (event.ctrlKey ? 0.01 : 0.0022)), ...place(event));
    }, { passive: false });
    this.marks.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, place(event));
      this.marks.setPointerCapture(event.pointerId);
      if (fingers.size === 1) moved = 0;
    });
    this.marks.addEventListener("pointermove", (event) => {
      const at = place(event);
      const before = fingers.get(event.pointerId);
      if (!before) {
        if (event.pointerType !== "touch") this.on.point(this.pick(...at));
        return;
      }
      moved += Math.abs(at[0] - before[0]) + Math.abs(at[1] - before[1]);
      fingers.set(event.pointerId, at);
      if (moved < 5) return;
      if (fingers.size === 1) this.panBy(at[0] - before[0], at[1] - before[1]);
      else {
        const [, other] = [...fingers].find(([id]) => id !== event.pointerId);
        const span = (p) => Math.max(10, Math.hypot(p[0] - other[0], p[1] - other[1]));
        this.zoomBy(span(at) / span(before), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2);
      }
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.marks.addEventListener(name, (event) => {
        const known = fingers.delete(event.pointerId);
        if (name === "pointerup" && known && moved < 5) this.on.choose(this.pick(...place(event), event.pointerType === "touch" ? 40 : 28));
      });
    }
    this.marks.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch" && !fingers.size) this.on.leave();
    });
    this.marks.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.on.step(...step);
    });
  },
});
