// What Python sent: words, arcs, colours, and each run's pictures and maps behind a gzipped buffer.
import { cellsOf } from "./maps.js";

export function readAbout(model) {
  const about = model.get("_about");
  return { ...about, heat: about.heat.flat(), diverging: about.diverging.flat(), columns: [] };
}

// Reads those columns that are not read yet.
export async function readColumns(contents, model) {
  const names = model.get("_names");
  for (let place = contents.columns.length; place < names.length; place++)
    contents.columns.push(await readColumn(model.get(`_column_${place}`)));
}

// A column's rows are its own words: `row[i]` is where the i-th word of the first prompt lies.
async function readColumn(column) {
  const stream = new Blob([column.data]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let known = 0;
  const row = column.has.map((there) => (there ? known++ : -1));
  const size = column.height * column.width;
  const picture = await pixelsOf(column.image, column);
  return {
    ...column,
    row,
    picture,
    grey: greyOf(picture),
    meant: new Map(), // previews of steps that were looked at, as `picture` and `grey`
    whole: (word) => bytes.subarray(column.whole + row[word] * size, column.whole + (row[word] + 1) * size),
    part: (stack, word, index) => {
      const cells = stack.grid[0] * stack.grid[1];
      const start = stack.at + (row[word] * stack.peaks[row[word]].length + index) * cells;
      return bytes.subarray(start, start + cells);
    },
  };
}

// Reads what the model meant the image to be at a step, where that was kept: in the cells of the
// maps of parts, which it lies under.
export async function readPreview(column, step) {
  if (column.meant.size > 64) column.meant.delete(column.meant.keys().next().value);
  column.meant.set(step, null); // it is being read
  const { width, height } = cellsOf(column);
  const picture = await pixelsOf(column.previews[step], { width, height }).catch(() => null);
  column.meant.set(step, picture ? { picture, grey: greyOf(picture) } : undefined);
}

// An image as numbers: alpha, blue, green, red. Mid grey where there is none.
async function pixelsOf(uri, { width, height }) {
  if (uri === null) return new Int32Array(width * height).fill(0xff808080 | 0);
  const picture = Object.assign(new Image(), { src: uri });
  await picture.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(picture, 0, 0, width, height);
  return new Int32Array(pen.getImageData(0, 0, width, height).data.buffer);
}

// In grey, as Pillow has it.
function greyOf(picture) {
  const grey = new Uint8Array(picture.length);
  for (let i = 0; i < grey.length; i++) {
    const red = picture[i] & 255;
    const green = (picture[i] >> 8) & 255;
    const blue = (picture[i] >> 16) & 255;
    grey[i] = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16;
  }
  return grey;
}
