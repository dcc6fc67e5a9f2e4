// What Python sent: words, arcs, colours, columns, and their maps behind one gzipped buffer.

export async function readContents(about, packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const columns = await Promise.all(about.columns.map((column) => readColumn(column, bytes)));
  return { ...about, columns, heat: about.heat.flat(), diverging: about.diverging.flat() };
}

// A column's rows are its own words: `row[i]` is where the i-th word of the first prompt lies.
async function readColumn(column, bytes) {
  let known = 0;
  const row = column.has.map((there) => (there ? known++ : -1));
  const size = column.height * column.width;
  return {
    ...column,
    row,
    grey: await greyOf(column),
    whole: (word) => bytes.subarray(column.whole + row[word] * size, column.whole + (row[word] + 1) * size),
    part: (stack, word, index) => {
      const cells = stack.grid[0] * stack.grid[1];
      const start = stack.at + (row[word] * stack.peaks[row[word]].length + index) * cells;
      return bytes.subarray(start, start + cells);
    },
  };
}

// The image in grey, as Pillow has it; mid grey where there is no image.
async function greyOf({ image, width, height }) {
  const grey = new Uint8Array(width * height).fill(128);
  if (image === null) return grey;
  const picture = new Image();
  picture.src = image;
  await picture.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(picture, 0, 0, width, height);
  const { data } = pen.getImageData(0, 0, width, height);
  for (let i = 0; i < grey.length; i++)
    grey[i] = (data[4 * i] * 19595 + data[4 * i + 1] * 38470 + data[4 * i + 2] * 7471 + 32768) >> 16;
  return grey;
}
