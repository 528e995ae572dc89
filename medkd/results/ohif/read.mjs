// Reads segmentations and Parametric Maps as OHIF does, and writes their voxels in the order of the images they are laid on.
//
// Standard input has one job a line: {"kind": "segmentation" | "map", "object": PATH, "images": [...], "out": PATH}. Each image is what the
// viewer's metadata provider knows of a slice. OUT gets the voxels [slice][row][column]: a byte each of a segmentation (the number of its
// segment), a float each of a map. Standard output has one line a job: {} or {"error": "..."}.
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

// The viewer's packages look for a browser when they are imported; they need none for reading.
globalThis.window ??= globalThis;
globalThis.document ??= { createElement: () => ({ getContext: () => null, style: {} }), addEventListener() {} };
globalThis.self ??= globalThis;
// What the packages log must not be taken for an answer.
console.log = console.info = console.debug = console.error;

const { adaptersPMAP, adaptersSEG } = await import("@cornerstonejs/adapters");
const { cache, metaData, utilities } = await import("@cornerstonejs/core");

let known = new Map();
metaData.addProvider((module, imageId) => {
  const one = known.get(imageId);
  if (one === undefined) return undefined;
  if (module === "instance") return one;
  if (module === "generalImageModule" || module === "sopCommonModule")
    return { sopInstanceUID: one.SOPInstanceUID, sopClassUID: one.SOPClassUID };
  if (module === "generalSeriesModule") return { seriesInstanceUID: one.SeriesInstanceUID, modality: one.Modality };
  if (module === "imagePixelModule")
    return { samplesPerPixel: 1, bitsAllocated: 16, bitsStored: 16, highBit: 15, pixelRepresentation: 0, photometricInterpretation: "MONOCHROME2" };
  if (module === "imagePlaneModule")
    return {
      frameOfReferenceUID: one.FrameOfReferenceUID,
      imagePositionPatient: one.ImagePositionPatient,
      imageOrientationPatient: one.ImageOrientationPatient,
      rowCosines: one.ImageOrientationPatient.slice(0, 3),
      columnCosines: one.ImageOrientationPatient.slice(3),
      pixelSpacing: one.PixelSpacing,
      rowPixelSpacing: one.PixelSpacing[0],
      columnPixelSpacing: one.PixelSpacing[1],
      rows: one.Rows,
      columns: one.Columns,
    };
  return undefined;
}, 1e6);

async function segmentation(imageIds, buffer) {
  const { labelMapImages, overlappingSegments } = await adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer(imageIds, buffer, {
    metadataProvider: metaData,
    tolerance: 1e-3,
  });
  if (overlappingSegments || labelMapImages.length !== 1) throw new Error("expected segments that do not overlap");
  return Buffer.concat(labelMapImages[0].map((image) => Buffer.from(Uint8Array.from(image.voxelManager.getScalarData()))));
}

async function map(imageIds, buffer) {
  // The viewer lays a map's voxels, in the order of its frames, on the volume of its images, which it sorts along their normal.
  const sorted = imageIds.length > 1 ? utilities.sortImageIdsAndGetSpacing([...imageIds]).sortedImageIds : imageIds;
  const { pixelData } = await adaptersPMAP.Cornerstone3D.ParametricMap.generateToolState(sorted, buffer, metaData);
  const each = pixelData.length / sorted.length;
  const laid = new Float32Array(pixelData.length);
  sorted.forEach((imageId, index) => laid.set(pixelData.subarray(index * each, (index + 1) * each), imageIds.indexOf(imageId) * each));
  return Buffer.from(laid.buffer);
}

let jobs = 0;
for await (const line of createInterface({ input: process.stdin })) {
  let answer = {};
  try {
    const { kind, object, images, out } = JSON.parse(line);
    // Names of their own for each job: the packages remember images by name.
    jobs += 1;
    known = new Map(images.map((image, index) => [`medkd:${jobs}-${index}`, image]));
    const bytes = readFileSync(object);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    writeFileSync(out, await (kind === "segmentation" ? segmentation : map)([...known.keys()], buffer));
  } catch (error) {
    answer = { error: String(error) };
  }
  cache.purgeCache();
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
