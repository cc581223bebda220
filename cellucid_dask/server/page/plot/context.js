// The WebGL2 context of the scatter plot.

/**
 * A context, with what all drawing has in common; its texture is for the palette.
 *
 * @param {HTMLCanvasElement} canvas
 */
export function createContext(canvas) {
  const gl = canvas.getContext("webgl2", {
    alpha: false, antialias: false, preserveDrawingBuffer: true, // a picture takes many frames
  });
  if (!gl) {
    throw new Error("This browser does not offer WebGL2, which this page needs to draw the " +
      "cells. Use a browser of 2024 or later, or allow WebGL in the settings of this one.");
  }
  gl.enable(gl.BLEND); // for smooth rims of cells; multisampling would take three times as long
  gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  gl.depthFunc(gl.LEQUAL);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
    gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
  }
  return gl;
}
