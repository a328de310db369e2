// Rasterises portraits: one JSON job a line on standard input, raw RGB pixels (SIZE * SIZE * 3 bytes each) on
// standard output, in the same order. What to draw is decided in drawing.py; this file only knows the drawing sets.
import fs from 'node:fs';
import readline from 'node:readline';
import { createAvatar } from '@dicebear/core';
import { Resvg } from '@resvg/resvg-js';

const SIZE = 128;
const styles = {};
for (const name of ['personas', 'toon-head', 'micah']) styles[name] = await import(`@dicebear/${name}`);
const sets = {};
for (const name of ['fluent-emoji-flat', 'noto', 'twemoji']) {
  sets[name] = JSON.parse(fs.readFileSync(new URL(`node_modules/@iconify-json/${name}/icons.json`, import.meta.url)));
}

function figure({ set, name, options, box: [x, y, side] }) {
  if (set in styles) {
    const svg = createAvatar(styles[set], { seed: '', ...options }).toString();
    return svg.replace('<svg ', `<svg x="${x}" y="${y}" width="${side}" height="${side}" `);
  }
  const icon = sets[set].icons[name];
  const width = icon.width ?? sets[set].width, height = icon.height ?? sets[set].height;
  return `<svg x="${x}" y="${y}" width="${side}" height="${side}" viewBox="0 0 ${width} ${height}">${icon.body}</svg>`;
}

function masked({ mask, figure: part }) {
  return `<mask id="shown" maskUnits="userSpaceOnUse" x="-64" y="-64" width="256" height="256">
    <rect x="-64" y="-64" width="256" height="256" fill="#fff"/>${mask}</mask><g mask="url(#shown)">${figure(part)}</g>`;
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${SIZE} ${SIZE}">
    ${job.background}<g transform="translate(64 62) scale(${job.scale}) translate(-64 -62)">
    ${job.below}${figure(job.figure)}${job.over ? masked(job.over) : ''}${job.above}</g></svg>`;
  const rgba = new Resvg(svg, { fitTo: { mode: 'width', value: SIZE } }).render().pixels;
  const rgb = Buffer.alloc(SIZE * SIZE * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    rgb[j++] = rgba[i];
    rgb[j++] = rgba[i + 1];
    rgb[j++] = rgba[i + 2];
  }
  if (!process.stdout.write(rgb)) await new Promise((ready) => process.stdout.once('drain', ready));
}
