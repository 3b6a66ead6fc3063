Feature: A list of URLs lands in S3
  Somebody hands out files over HTTP. Every one of them has to be in S3, whole, once, and provably the bytes meant.

  Scenario: Every file lands as its source holds it
    Given a source with these files
      | path             | size     |
      | /empty           | 0        |
      | /one             | 1        |
      | /a/small.csv     | 1000     |
      | /a/big.bin       | 11000000 |
      | /ünï/name+#.txt  | 77       |
    When a job lands all of them
    Then the job is COMPLETED
    And 5 files are stored
    And every stored file is identical to its source
    And the report has a line for every file
    And SHA256SUMS agrees with what lies on disk

  Scenario: Digests of every kind are checked
    Given a source with these files
      | path | size |
      | /a   | 5000 |
    And each file states its size, md5, sha1, sha256, sha512, crc32
    When a job lands all of them
    Then the job is COMPLETED
    And every stored file is identical to its source

  Scenario: An empty list is a job well done
    Given a source with these files
      | path | size |
    When a job lands all of them
    Then the job is COMPLETED
    And 0 files are stored

  Scenario: Files may name a bucket of their own
    Given a source with these files
      | path | size | bucket       |
      | /a   | 10   |              |
      | /b   | 20   | other-bucket |
    When a job lands all of them
    Then the job is COMPLETED
    And every stored file is identical to its source
    And other-bucket holds b

  Scenario: A manifest in S3 lists the files
    Given a source with these files
      | path | size |
      | /a   | 10   |
      | /b   | 6000 |
    And the list is a CSV manifest in the jobs bucket
    When a job lands all of them
    Then the job is COMPLETED
    And every stored file is identical to its source

  Scenario: The whole document may stand in the execution's input
    Given a source with these files
      | path | size |
      | /a   | 10   |
    When an execution is started with the job inline
    Then the job is COMPLETED
    And every stored file is identical to its source

  Scenario: A key that is taken stays as it is
    Given a source with these files
      | path | size |
      | /a   | 10   |
      | /b   | 20   |
    And the job says if_exists is never
    And a is in the bucket already
    When a job lands all of them
    Then the job is COMPLETED
    And a is SKIPPED
    And b is STORED
    And a still holds what it held

  Scenario: Many small files
    Given a source with 60 files of 1000 bytes
    When a job lands all of them
    Then the job is COMPLETED
    And 60 files are stored
    And every stored file is identical to its source
