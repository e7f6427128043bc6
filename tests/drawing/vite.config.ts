import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  build: { chunkSizeWarningLimit: 20000, minify: false, reportCompressedSize: false },
  define: { 'process.env': {} },
});
