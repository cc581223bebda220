// three.js: Points with its own material.

import {
  BufferAttribute, BufferGeometry, OrthographicCamera, PerspectiveCamera, Points, PointsMaterial,
  Scene, WebGLRenderer,
} from "three";

export async function start(canvas, { spatial, colours, dimension, frame }) {
  const renderer = new WebGLRenderer({ canvas, antialias: false, alpha: false });
  renderer.setSize(canvas.clientWidth, canvas.clientHeight, false);
  renderer.setClearColor(0xffffff);
  const aspect = canvas.clientWidth / canvas.clientHeight;
  const camera = dimension === 3
    ? new PerspectiveCamera(37, aspect, 0.1, 10)
    : new OrthographicCamera(-aspect, aspect, 1, -1, 0.1, 10);
  camera.position.z = 3.5;
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(spatial, 3));
  const attribute = new BufferAttribute(colours, 4, true);
  geometry.setAttribute("color", attribute);
  const points = new Points(geometry,
    new PointsMaterial({ size: 3, sizeAttenuation: false, vertexColors: true }));
  points.frustumCulled = false;
  const scene = new Scene().add(points);
  const render = async () => {
    await frame();
    renderer.render(scene, camera);
  };
  await render();
  return {
    gl: renderer.getContext(),
    async turn(i) {
      if (dimension === 3) points.rotation.y = i * 0.04;
      else points.position.x = i * 0.01;
      await render();
    },
    async recolour(other) {
      attribute.array = other;
      attribute.needsUpdate = true;
      await render();
    },
  };
}
