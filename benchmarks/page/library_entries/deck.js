// deck.gl: a PointCloudLayer, without light.

import { Deck, OrbitView, OrthographicView } from "@deck.gl/core";
import { PointCloudLayer } from "@deck.gl/layers";

export async function start(canvas, { spatial, colours, dimension, frame }) {
  const layer = (given) => new PointCloudLayer({
    id: "cells",
    data: {
      length: spatial.length / 3,
      attributes: {
        getPosition: { value: spatial, size: 3 },
        getColor: { value: given, size: 4 },
      },
    },
    pointSize: 1.5, // a radius
    sizeUnits: "pixels",
    material: false,
  });
  const view = (i) => dimension === 3
    ? { target: [0, 0, 0], rotationOrbit: 10 + i * 2, rotationX: 20, zoom: 7.7 }
    : { target: [0.1 + i * 0.01, 0, 0], zoom: 8.2 };
  const deck = await new Promise((done) => {
    const made = new Deck({
      canvas,
      width: canvas.clientWidth,
      height: canvas.clientHeight,
      useDevicePixels: 1,
      deviceProps: { webgl: { antialias: false } },
      views: dimension === 3 ? new OrbitView() : new OrthographicView(),
      viewState: view(-1),
      layers: [layer(colours)],
      onAfterRender: () => done(made),
    });
  });
  const render = async (change) => {
    await frame();
    deck.setProps(change);
    deck.redraw("asked");
  };
  return {
    gl: canvas.getContext("webgl2"),
    turn: (i) => render({ viewState: view(i) }),
    recolour: (other) => render({ layers: [layer(other)] }),
  };
}
