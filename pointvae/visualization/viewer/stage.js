// What the two views show: a shape and its reconstruction, the way between two shapes, a draw from the prior.

Object.assign(Page.prototype, {
  tell(name, facts, left, right) {
    this.at("name").textContent = name;
    this.at("facts").replaceChildren(...facts.filter(([, value]) => value !== "").flatMap(([told, value]) => [make("dt", {}, told), make("dd", {}, nameElement(value))]));
    for (const [id, told] of [["left", left], ["right", right]]) {
      this.at(`${id}-told`).replaceChildren(told);
      this.at(id).setAttribute("aria-label", `${told}, a turning cloud of points`);
    }
  },

  showShape(row) {
    const { scene } = this;
    if (row < 0) return;
    const ball = scene.ball(row);
    const shortened = short(scene.names[row]);
    const own = shortened === scene.names[row] ? [] : [["name", scene.names[row]]];
    this.tell(shortened, [...own, ...scene.columns.map((column) => [column.told, scene.told(column, row)])], "Input", "Reconstruction");
    this.left.set(scene.cloud(row), ball, undefined, "given");
    if (scene.live) this.decode(this.right, scene.latent(row), ball);
    else this.right.set(scene.stored("made", row), ball, undefined, "made");
  },

  showPath() {
    const { scene, path } = this;
    const [a, b] = path.ends;
    const ball = mix(scene.ball(a), scene.ball(b), path.share);
    const [{ row }] = nearest(scene.latents, scene.dims, path.latent, 1, this.near.metric.value);
    const way = `${short(scene.names[a])} → ${short(scene.names[b])}`;
    const told = scene.live ? "Decoded" : "Nearest reconstruction";
    this.tell(way, [["on the way", `${path.slider.value} %`], ["nearest shape", scene.names[row]]], told, "Nearest shape");
    if (scene.live) this.decode(this.left, path.latent, ball, true);
    else this.left.set(scene.stored("made", row), scene.ball(row), undefined, "made");
    this.right.set(scene.cloud(row), scene.ball(row), undefined, "given");
  },

  showDraw() {
    const { scene, draws } = this;
    const number = draws.chosen;
    const z = draws.latent(number);
    const [{ row }] = nearest(scene.latents, scene.dims, z, 1, this.near.metric.value);
    this.tell(`Sample ${number + 1}`, [["from", "the prior, N(0, I)"], ["nearest shape", scene.names[row]]], "Sample", "Nearest shape");
    if (scene.live) {
      const points = decodeAll(scene.live, z);
      this.left.set(points, ballOf(points), undefined, "made");
    } else {
      const points = scene.stored("samples", number);
      this.left.set(points, ballOf(points), undefined, "made");
    }
    this.right.set(scene.cloud(row), scene.ball(row), undefined, "given");
  },

  // Decode into a view. On a way the points of the step before stand until theirs are decoded.
  decode(view, z, ball, keep = false) {
    const kept = keep && view.points === this.made;
    this.kitchen.ask("view", z, this.made, (done) => {
      view.set(this.made, ball, kept ? undefined : done, "made");
      this.turntable.ask();
    });
  },
});
