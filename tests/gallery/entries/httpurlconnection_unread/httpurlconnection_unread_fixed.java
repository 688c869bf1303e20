// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed: the body of an answer that is not 200 is read and closed, too.

import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;

public class Avatars {
    // docs: begin
    static byte[] avatar(URL url) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) url.openConnection();
        connection.setConnectTimeout(2000);
        connection.setReadTimeout(10000);
        if (connection.getResponseCode() != 200) {
            try (InputStream error = connection.getErrorStream()) {
                if (error != null) {
                    error.readAllBytes();
                }
            }
            throw new IOException(url + ": " + connection.getResponseCode());
        }
        try (InputStream body = connection.getInputStream()) {
            return body.readAllBytes();
        }
    }
    // docs: end

    public static void main(String[] arguments) throws Exception {
        for (int number = 0; number < Integer.parseInt(arguments[1]); number++) {
            try {
                avatar(new URL("http://127.0.0.1:" + arguments[0] + "/avatar/" + number + "/404"));
            } catch (IOException error) {
                System.out.println(error.getMessage());
            }
        }
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
